//! The tokenizer for Python: each method converts, releases the interpreter if worthwhile, and calls the core.

use std::borrow::Cow;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use bytemill::Error;
use bytemill::corpus::Reading;
use bytemill::encode::{Request, SpecialPolicy, Specials};
use bytemill::formats::{self, Format, PatternChoice};
use bytemill::split::backend;
use bytemill::token_file::{TokenFileOptions, Width, encode_files};
use bytemill::tokenizer::Tokenizer as Core;
use bytemill::vocab::Normalizer;
use numpy::PyArray1;
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use crate::error::CoreError;
use crate::listener::{Listener, interruptibly, released};
use crate::lists::{self, Ints};
use crate::output::{Output, width_of};
use crate::special;
use crate::stream::DecodeStream;
use crate::text::{Ids, ids, known_id, utf8};
use crate::threads::{self, limit};

type Offsets<'py> = Bound<'py, PyArray1<i64>>;
type Names<'a, 'py> = Option<&'a Bound<'py, PyAny>>;

/// Return the backend that splits text in this process.
#[pyfunction]
pub(crate) fn splitting_backend() -> Result<&'static str, CoreError> {
    Ok(backend()?)
}

/// The base class of `bytemill.Tokenizer`, which adds names, defaults and support for objects of other libraries.
#[pyclass(subclass, frozen, module = "bytemill._core")]
pub(crate) struct Tokenizer {
    core: Arc<Core>,
    /// The policy of `encode` without options: it refuses every special token.
    refusing: Arc<SpecialPolicy>,
    ints: Arc<Ints>,
}

impl Tokenizer {
    pub(crate) fn of(core: Core) -> PyResult<Self> {
        let refusing = core.special_policy(Specials::NONE, Specials::All).map_err(CoreError::from)?;
        Ok(Self { core: Arc::new(core), refusing: Arc::new(refusing), ints: Arc::default() })
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// Return uint16 if every id fits, else uint32.
    fn narrowest(&self) -> Width {
        if self.core.vocab().n_vocab() <= 1 << 16 { Width::Two } else { Width::Four }
    }

    fn special_id(&self, text: &str) -> Result<u32, CoreError> {
        let special = self.core.vocab().special_tokens();
        special.iter().find(|(token, _)| token == text).map(|(_, id)| *id).ok_or_else(|| {
            let known: Vec<&str> = special.iter().map(|(token, _)| token.as_str()).collect();
            let expected = format!("one of this vocabulary's special tokens, {known:?}");
            Error::Argument { name: "end_token", got: format!("{text:?}"), expected }.into()
        })
    }

    fn policy(&self, allowed: Names, disallowed: Names) -> PyResult<Arc<SpecialPolicy>> {
        if allowed.is_none() && disallowed.is_none() {
            return Ok(Arc::clone(&self.refusing));
        }
        special::policy(&self.core, allowed, disallowed).map(Arc::new)
    }

    /// Like [`Tokenizer::policy`]; `None` if special tokens are treated as ordinary text.
    fn special_policy(&self, allowed: Names, disallowed: Names) -> PyResult<Option<Arc<SpecialPolicy>>> {
        if special::is_ordinary(allowed, disallowed) {
            return Ok(None);
        }
        self.policy(allowed, disallowed).map(Some)
    }

    fn encoded(
        &self,
        text: &Bound<'_, PyString>,
        max_tokens: Names,
        allowed: Names,
        disallowed: Names,
    ) -> PyResult<Vec<u32>> {
        let policy = self.special_policy(allowed, disallowed)?;
        let wanted = Request { policy: policy.as_deref(), max_tokens: limit(max_tokens)? };
        let valid = utf8(text)?;
        released(text.py(), valid.len(), || self.core.encode_wanted(&valid, wanted))
    }

    fn decoded(&self, py: Python<'_>, ids: &[u32]) -> PyResult<Vec<u8>> {
        released(py, ids.len() * 4, || self.core.decode_bytes(ids))
    }

    /// Return the bytes of one token.
    fn token<'py>(&self, py: Python<'py>, id: u32) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.core.vocab().token_bytes(id);
        bytes.map(|bytes| PyBytes::new(py, bytes)).ok_or_else(|| self.unknown(id))
    }

    fn unknown(&self, id: impl Display) -> PyErr {
        let n_vocab = self.core.vocab().n_vocab();
        PyKeyError::new_err(format!("token id {id} is not in this vocabulary of {n_vocab} ids"))
    }

    /// Return a token as Hugging Face writes it: an added token's text, or bytes in GPT-2's printable characters.
    fn spelled(&self, id: u32) -> Option<String> {
        let vocab = self.core.vocab();
        match vocab.added_token(id) {
            Some(token) => Some(token.content.clone()),
            None => vocab.token_bytes(id).map(formats::to_printable),
        }
    }

    fn list<'py>(&self, py: Python<'py>, ids: &[u32]) -> PyResult<Bound<'py, PyList>> {
        self.ints.list(py, ids, self.core.vocab().n_vocab())
    }

    fn encoded_batch(
        &self,
        py: Python<'_>,
        texts: &[Bound<'_, PyString>],
        threads: Names,
        wanted: Request,
    ) -> PyResult<(Vec<u32>, Vec<usize>)> {
        let threads = threads::count(threads)?;
        let valid = texts.iter().map(utf8).collect::<PyResult<Vec<Cow<'_, str>>>>()?;
        let texts: Vec<&str> = valid.iter().map(AsRef::as_ref).collect();
        let n_bytes = texts.iter().map(|text| text.len()).sum();
        released(py, n_bytes, || self.core.encode_batch(&texts, wanted, threads))
    }

    /// Return one list per text with the result of [`Tokenizer::encoded_batch`].
    fn lists<'py>(&self, py: Python<'py>, encoded: (Vec<u32>, Vec<usize>)) -> PyResult<Vec<Bound<'py, PyList>>> {
        let (ids, offsets) = encoded;
        let list = |range: &[usize]| {
            py.check_signals()?;
            self.list(py, &ids[range[0]..range[1]])
        };
        offsets.windows(2).map(list).collect()
    }
}

#[pymethods]
impl Tokenizer {
    #[new]
    fn new(source: &Bound<'_, Self>) -> Self {
        let source = source.get();
        let (core, refusing) = (Arc::clone(&source.core), Arc::clone(&source.refusing));
        Self { core, refusing, ints: Arc::clone(&source.ints) }
    }

    #[pyo3(signature = (text, *, max_tokens=None, allowed_special=None, disallowed_special=None))]
    fn encode<'py>(
        &self,
        text: &Bound<'py, PyString>,
        max_tokens: Names,
        allowed_special: Names,
        disallowed_special: Names,
    ) -> PyResult<Bound<'py, PyList>> {
        self.list(text.py(), &self.encoded(text, max_tokens, allowed_special, disallowed_special)?)
    }

    #[pyo3(signature = (text, *, max_tokens=None))]
    fn encode_ordinary<'py>(&self, text: &Bound<'py, PyString>, max_tokens: Names) -> PyResult<Bound<'py, PyList>> {
        let wanted = Request { policy: None, max_tokens: limit(max_tokens)? };
        let valid = utf8(text)?;
        let ids = released(text.py(), valid.len(), || self.core.encode_wanted(&valid, wanted))?;
        self.list(text.py(), &ids)
    }

    fn encode_bytes<'py>(&self, data: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyList>> {
        let bytes = data.as_bytes();
        let ids = released(data.py(), bytes.len(), || self.core.encode_bytes(bytes))?;
        self.list(data.py(), &ids)
    }

    fn encode_single_token(&self, text_or_bytes: &Bound<'_, PyAny>) -> PyResult<u32> {
        let bytes = if let Ok(text) = text_or_bytes.cast::<PyString>() {
            utf8(text)?.into_owned().into_bytes()
        } else if let Ok(bytes) = text_or_bytes.cast::<PyBytes>() {
            bytes.as_bytes().to_vec()
        } else {
            return Err(PyTypeError::new_err(format!(
                "expected str or bytes, found {}",
                text_or_bytes.get_type().name()?
            )));
        };
        let unknown = || PyKeyError::new_err(format!("{text_or_bytes} is not one token of this vocabulary"));
        self.core.encode_single_token(&bytes).ok_or_else(unknown)
    }

    #[pyo3(signature = (text, *, allowed_special=None, disallowed_special=None))]
    fn encode_with_offsets<'py>(
        &self,
        text: &Bound<'py, PyString>,
        allowed_special: Names,
        disallowed_special: Names,
    ) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyList>)> {
        let policy = self.policy(allowed_special, disallowed_special)?;
        let (py, valid) = (text.py(), utf8(text)?);
        let encode = || self.core.encode_with_offsets(&valid, Some(&policy));
        let (ids, offsets) = released(py, valid.len(), encode)?;
        Ok((self.list(py, &ids)?, lists::of_numbers(py, &offsets)?))
    }

    #[pyo3(signature = (text, *, max_tokens=None, dtype=None, out=None, allowed_special=None, disallowed_special=None))]
    fn encode_to_numpy<'py>(
        &self,
        text: &Bound<'py, PyString>,
        max_tokens: Names,
        dtype: Names<'_, 'py>,
        out: Names<'_, 'py>,
        allowed_special: Names,
        disallowed_special: Names,
    ) -> PyResult<Bound<'py, PyAny>> {
        let output = Output::new(text.py(), dtype, out)?;
        output.filled(text.py(), self.encoded(text, max_tokens, allowed_special, disallowed_special)?)
    }

    #[pyo3(signature = (texts, *, threads=None, num_threads=None, max_tokens=None, allowed_special=None, disallowed_special=None))]
    #[expect(clippy::too_many_arguments, reason = "each is one keyword")]
    fn encode_batch<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<Bound<'py, PyString>>,
        threads: Names,
        num_threads: Names,
        max_tokens: Names,
        allowed_special: Names,
        disallowed_special: Names,
    ) -> PyResult<Vec<Bound<'py, PyList>>> {
        let policy = self.special_policy(allowed_special, disallowed_special)?;
        let wanted = Request { policy: policy.as_deref(), max_tokens: limit(max_tokens)? };
        self.lists(py, self.encoded_batch(py, &texts, threads::either(threads, num_threads)?, wanted)?)
    }

    #[pyo3(signature = (texts, *, threads=None, num_threads=None, max_tokens=None))]
    fn encode_ordinary_batch<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<Bound<'py, PyString>>,
        threads: Names,
        num_threads: Names,
        max_tokens: Names,
    ) -> PyResult<Vec<Bound<'py, PyList>>> {
        let wanted = Request { policy: None, max_tokens: limit(max_tokens)? };
        self.lists(py, self.encoded_batch(py, &texts, threads::either(threads, num_threads)?, wanted)?)
    }

    #[pyo3(signature = (texts, *, threads=None, max_tokens=None, dtype=None, out=None, allowed_special=None, disallowed_special=None))]
    #[expect(clippy::too_many_arguments, reason = "each is one keyword")]
    fn encode_batch_to_numpy<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<Bound<'py, PyString>>,
        threads: Names,
        max_tokens: Names,
        dtype: Names<'_, 'py>,
        out: Names<'_, 'py>,
        allowed_special: Names,
        disallowed_special: Names,
    ) -> PyResult<(Bound<'py, PyAny>, Offsets<'py>)> {
        let output = Output::new(py, dtype, out)?;
        let policy = self.special_policy(allowed_special, disallowed_special)?;
        let wanted = Request { policy: policy.as_deref(), max_tokens: limit(max_tokens)? };
        let (ids, offsets) = self.encoded_batch(py, &texts, threads, wanted)?;
        let offsets = offsets.into_iter().map(|offset| (offset as u64).cast_signed()).collect();
        Ok((output.filled(py, ids)?, PyArray1::from_vec(py, offsets)))
    }

    #[pyo3(signature = (path, *, threads=None, dtype=None, out=None, allowed_special=None, disallowed_special=None))]
    #[expect(clippy::too_many_arguments, reason = "each is one keyword")]
    fn encode_file<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        threads: Names,
        dtype: Names<'_, 'py>,
        out: Names<'_, 'py>,
        allowed_special: Names,
        disallowed_special: Names,
    ) -> PyResult<Bound<'py, PyAny>> {
        let output = Output::new(py, dtype, out)?;
        let (policy, threads) = (self.policy(allowed_special, disallowed_special)?, threads::count(threads)?);
        output.filled(py, interruptibly(py, || self.core.encode_file(&path, &policy, threads))?)
    }

    #[pyo3(signature = (inputs, output, *, dtype, end_token, text_field, separator, threads, progress, allowed_special, disallowed_special))]
    #[expect(clippy::too_many_arguments, reason = "each is one keyword of Tokenizer.encode_to_file")]
    fn encode_files_to(
        &self,
        py: Python<'_>,
        inputs: Vec<PathBuf>,
        output: PathBuf,
        dtype: Option<&Bound<'_, PyAny>>,
        end_token: Option<&str>,
        text_field: &str,
        separator: Option<&str>,
        threads: Names,
        progress: Option<Py<PyAny>>,
        allowed_special: Names,
        disallowed_special: Names,
    ) -> PyResult<u64> {
        let policy = self.policy(allowed_special, disallowed_special)?;
        let options = TokenFileOptions {
            width: dtype.map_or_else(|| Ok(self.narrowest()), width_of)?,
            policy: &policy,
            end_id: end_token.map(|text| self.special_id(text)).transpose()?,
            reading: Reading { text_field, separator: separator.map(str::as_bytes), ..Reading::default() },
            threads: threads::count(threads)?,
        };
        let listener = Listener::new(progress);
        let mut watch = |n_bytes| listener.report(n_bytes, 0, ("encoding", n_bytes, 0));
        listener.run(py, || encode_files(&self.core, &inputs, &output, &options, &mut watch))
    }

    fn count(&self, text: &Bound<'_, PyString>) -> PyResult<usize> {
        let valid = utf8(text)?;
        released(text.py(), valid.len(), || self.core.count(&valid))
    }

    fn count_until(&self, text: &Bound<'_, PyString>, limit: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        let (limit, valid) = (threads::at_least("limit", 0, limit)?, utf8(text)?);
        released(text.py(), valid.len(), || self.core.count_until(&valid, limit))
    }

    #[pyo3(name = "decode", signature = (ids, errors="replace", skip_special_tokens=false))]
    fn decode_text<'py>(
        &self,
        py: Python<'py>,
        ids: &Bound<'py, PyAny>,
        errors: &str,
        skip_special_tokens: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut ids = self::ids(ids)?;
        if skip_special_tokens {
            ids = Ids::Copied(ids.iter().copied().filter(|&id| !self.core.vocab().is_special(id)).collect());
        }
        let bytes = self.decoded(py, &ids)?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(PyString::new(py, &text).into_any()),
            Err(error) => PyBytes::new(py, error.as_bytes()).call_method1("decode", ("utf-8", errors)),
        }
    }

    fn decode_bytes<'py>(&self, py: Python<'py>, ids: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.decoded(py, &self::ids(ids)?)?))
    }

    fn decode_tokens_bytes<'py>(&self, py: Python<'py>, ids: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        self::ids(ids)?.iter().map(|&id| self.token(py, id)).collect()
    }

    #[pyo3(signature = (batch, errors="replace", skip_special_tokens=false))]
    fn decode_batch<'py>(
        &self,
        batch: &Bound<'py, PyAny>,
        errors: &str,
        skip_special_tokens: bool,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let py = batch.py();
        let decode = |ids: PyResult<Bound<'py, PyAny>>| {
            py.check_signals()?;
            self.decode_text(py, &ids?, errors, skip_special_tokens)
        };
        batch.try_iter()?.map(decode).collect()
    }

    fn decode_with_offsets<'py>(
        &self,
        py: Python<'py>,
        ids: &Bound<'py, PyAny>,
    ) -> PyResult<(String, Bound<'py, PyList>)> {
        let ids = self::ids(ids)?;
        let ids: &[u32] = &ids;
        let (text, offsets) = released(py, ids.len() * 4, || self.core.decode_with_offsets(ids))?;
        Ok((text, lists::of_numbers(py, &offsets)?))
    }

    fn pretokens<'py>(&self, text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyList>> {
        let (py, valid) = (text.py(), utf8(text)?);
        let found = released(py, valid.len(), || self.core.pretokens(&valid))?;
        lists::of_bytes(py, &found)
    }

    fn normalized(&self, text: &Bound<'_, PyString>) -> PyResult<String> {
        let (py, valid) = (text.py(), utf8(text)?);
        released(py, valid.len(), || Ok(self.core.vocab().normalizer().normalize(&valid).into_owned()))
    }

    fn decode_stream(&self) -> DecodeStream {
        DecodeStream::new(Arc::clone(&self.core))
    }

    fn decode_single_token_bytes<'py>(
        &self,
        py: Python<'py>,
        token: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        match known_id(token)? {
            Some(id) => self.token(py, id),
            None => Err(self.unknown(token)),
        }
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        let vocab = self.core.vocab();
        let added = vocab.added_tokens().iter().find(|added| added.content == token).map(|added| added.id);
        added.or_else(|| {
            let id = vocab.id_of(&formats::from_printable(token).ok()?)?;
            vocab.added_token(id).is_none().then_some(id)
        })
    }

    fn id_to_token(&self, token: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
        Ok(known_id(token)?.and_then(|id| self.spelled(id)))
    }

    fn token_ids(&self) -> Vec<u32> {
        self.core.vocab().ids().collect()
    }

    fn get_vocab<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let tokens = PyDict::new(py);
        for id in self.core.vocab().ids() {
            tokens.set_item(self.spelled(id), id)?;
        }
        Ok(tokens)
    }

    #[getter]
    fn n_vocab(&self) -> usize {
        self.core.vocab().n_vocab()
    }

    #[getter]
    fn pattern(&self) -> Option<&str> {
        self.core.splitter().pattern()
    }

    #[getter]
    fn merges<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let parts = self.core.vocab().merges();
        parts.map(|(left, right)| (PyBytes::new(py, left), PyBytes::new(py, right))).collect()
    }

    #[getter]
    fn special_tokens<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let tokens = PyDict::new(py);
        for (text, id) in self.core.vocab().special_tokens() {
            tokens.set_item(text, id)?;
        }
        Ok(tokens)
    }

    #[getter]
    fn added_tokens<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let tokens = PyDict::new(py);
        for token in self.core.vocab().added_tokens().iter().filter(|token| !token.special) {
            tokens.set_item(&token.content, token.id)?;
        }
        Ok(tokens)
    }

    #[getter]
    fn normalizer(&self) -> Option<&'static str> {
        match self.core.vocab().normalizer() {
            Normalizer::None => None,
            Normalizer::Nfc => Some("NFC"),
        }
    }

    #[getter]
    fn fingerprint(&self) -> String {
        self.core.fingerprint()
    }

    fn __len__(&self) -> usize {
        self.n_vocab()
    }

    fn ranks<'py>(&self, py: Python<'py>) -> PyResult<Vec<(Bound<'py, PyBytes>, u32)>> {
        let ranks = formats::tiktoken_ranks(self.core.vocab()).map_err(CoreError::from)?;
        Ok(ranks.into_iter().map(|(bytes, id)| (PyBytes::new(py, &bytes), id)).collect())
    }

    fn truncated_base(&self, py: Python<'_>, n_vocab: usize) -> PyResult<Self> {
        Self::of(interruptibly(py, || self.core.truncated(n_vocab))?)
    }

    fn save_as(&self, py: Python<'_>, path: PathBuf, form: &str) -> PyResult<()> {
        let format: Format = form.parse().map_err(CoreError::from)?;
        interruptibly(py, || self.core.save(&path, format))
    }

    fn to_readable(&self) -> PyResult<String> {
        Ok(formats::to_readable(self.core.vocab(), self.core.splitter()).map_err(CoreError::from)?)
    }
}

/// Load a vocabulary; see `bytemill.Tokenizer.load`.
#[pyfunction]
pub(crate) fn load_tokenizer(
    py: Python<'_>,
    path: PathBuf,
    pattern: Option<&str>,
    special_tokens: Option<Vec<(String, Option<u32>)>>,
) -> PyResult<Tokenizer> {
    let choice = if pattern == Some("auto") { PatternChoice::Auto } else { PatternChoice::Given(pattern) };
    let given: Option<Vec<_>> =
        special_tokens.as_ref().map(|tokens| tokens.iter().map(|(text, id)| (text.as_str(), *id)).collect());
    Tokenizer::of(interruptibly(py, || Core::load(&path, choice, given.as_deref()))?)
}

/// Create a tokenizer from the output of `Tokenizer.to_readable`.
#[pyfunction]
pub(crate) fn tokenizer_from_readable(py: Python<'_>, text: &str) -> PyResult<Tokenizer> {
    let (vocab, splitter) = interruptibly(py, || formats::from_readable(text))?;
    Tokenizer::of(Core::new(vocab, splitter))
}

/// Create a tokenizer from tiktoken's ranks.
#[pyfunction]
pub(crate) fn tokenizer_from_ranks(
    py: Python<'_>,
    ranks: Vec<(Vec<u8>, u32)>,
    pattern: Option<&str>,
    special_tokens: Vec<(String, u32)>,
) -> PyResult<Tokenizer> {
    Tokenizer::of(interruptibly(py, || Core::from_ranks(&ranks, pattern, special_tokens))?)
}
