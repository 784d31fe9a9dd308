//! The tokenizer for Python: each method converts, releases the interpreter where that pays, calls the core.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use bytemill::Error;
use bytemill::corpus::Reading;
use bytemill::encode::{Request, SpecialPolicy, Specials};
use bytemill::formats::{self, Format, PatternChoice};
use bytemill::token_file::{TokenFileOptions, Width, encode_files};
use bytemill::tokenizer::Tokenizer as Core;
use bytemill::vocab::Normalizer;
use numpy::PyArray1;
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use crate::error::CoreError;
use crate::listener::Listener;
use crate::lists::Ints;
use crate::output::{Output, width_of};
use crate::special;
use crate::stream::DecodeStream;
use crate::text::{ids, released, utf8};
use crate::threads::{self, limit};

type Offsets<'py> = Bound<'py, PyArray1<i64>>;
type Names<'a, 'py> = Option<&'a Bound<'py, PyAny>>;

/// The base of `bytemill.Tokenizer`, which adds names, defaults and other libraries' objects.
#[pyclass(subclass, frozen, module = "bytemill._core")]
pub(crate) struct Tokenizer {
    core: Arc<Core>,
    /// What `encode` does when called without options: it refuses every special token.
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

    /// uint16 where every id fits.
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

    /// As [`Tokenizer::policy`], `None` where special tokens are text like any other.
    fn special_policy(&self, allowed: Names, disallowed: Names) -> PyResult<Option<Arc<SpecialPolicy>>> {
        if special::is_ordinary(allowed, disallowed) {
            return Ok(None);
        }
        self.policy(allowed, disallowed).map(Some)
    }

    fn encoded(
        &self,
        text: &Bound<'_, PyString>,
        max_tokens: Option<i64>,
        allowed: Names,
        disallowed: Names,
    ) -> PyResult<Vec<u32>> {
        let policy = self.special_policy(allowed, disallowed)?;
        let wanted = Request { policy: policy.as_deref(), max_tokens: limit(max_tokens)? };
        let valid = utf8(text)?;
        let ids = released(text.py(), valid.len(), || self.core.encode_wanted(&valid, wanted));
        Ok(ids.map_err(CoreError::from)?)
    }

    fn list<'py>(&self, py: Python<'py>, ids: &[u32]) -> PyResult<Bound<'py, PyList>> {
        self.ints.list(py, ids, self.core.vocab().n_vocab())
    }

    fn encoded_batch(
        &self,
        texts: &[Bound<'_, PyString>],
        threads: Option<usize>,
        max_tokens: Option<i64>,
        allowed: Names,
        disallowed: Names,
    ) -> PyResult<(Vec<u32>, Vec<usize>)> {
        let Some(first) = texts.first() else { return Ok((Vec::new(), vec![0])) };
        let (policy, threads) = (self.special_policy(allowed, disallowed)?, threads::count(threads)?);
        let wanted = Request { policy: policy.as_deref(), max_tokens: limit(max_tokens)? };
        let valid = texts.iter().map(utf8).collect::<PyResult<Vec<Cow<'_, str>>>>()?;
        let texts: Vec<&str> = valid.iter().map(AsRef::as_ref).collect();
        let n_bytes = texts.iter().map(|text| text.len()).sum();
        let encoded = released(first.py(), n_bytes, || self.core.encode_batch(&texts, wanted, threads));
        Ok(encoded.map_err(CoreError::from)?)
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
        max_tokens: Option<i64>,
        allowed_special: Names,
        disallowed_special: Names,
    ) -> PyResult<Bound<'py, PyList>> {
        self.list(text.py(), &self.encoded(text, max_tokens, allowed_special, disallowed_special)?)
    }

    #[pyo3(signature = (text, *, max_tokens=None))]
    fn encode_ordinary<'py>(
        &self,
        text: &Bound<'py, PyString>,
        max_tokens: Option<i64>,
    ) -> PyResult<Bound<'py, PyList>> {
        let wanted = Request { policy: None, max_tokens: limit(max_tokens)? };
        let valid = utf8(text)?;
        let ids = released(text.py(), valid.len(), || self.core.encode_wanted(&valid, wanted));
        self.list(text.py(), &ids.map_err(CoreError::from)?)
    }

    fn encode_bytes(&self, data: &Bound<'_, PyBytes>) -> PyResult<Vec<u32>> {
        let bytes = data.as_bytes();
        let ids = released(data.py(), bytes.len(), || self.core.encode_bytes(bytes));
        Ok(ids.map_err(CoreError::from)?)
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
    fn encode_with_offsets(
        &self,
        text: &Bound<'_, PyString>,
        allowed_special: Names,
        disallowed_special: Names,
    ) -> PyResult<(Vec<u32>, Vec<usize>)> {
        let policy = self.policy(allowed_special, disallowed_special)?;
        let valid = utf8(text)?;
        let encoded = released(text.py(), valid.len(), || self.core.encode_with_offsets(&valid, Some(&policy)));
        Ok(encoded.map_err(CoreError::from)?)
    }

    #[pyo3(signature = (text, *, max_tokens=None, dtype=None, out=None, allowed_special=None, disallowed_special=None))]
    fn encode_to_numpy<'py>(
        &self,
        text: &Bound<'py, PyString>,
        max_tokens: Option<i64>,
        dtype: Names<'_, 'py>,
        out: Names<'_, 'py>,
        allowed_special: Names,
        disallowed_special: Names,
    ) -> PyResult<Bound<'py, PyAny>> {
        let output = Output::new(dtype, out)?;
        output.filled(text.py(), self.encoded(text, max_tokens, allowed_special, disallowed_special)?)
    }

    #[pyo3(signature = (texts, *, threads=None, max_tokens=None, allowed_special=None, disallowed_special=None))]
    fn encode_batch<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<Bound<'py, PyString>>,
        threads: Option<usize>,
        max_tokens: Option<i64>,
        allowed_special: Names,
        disallowed_special: Names,
    ) -> PyResult<Vec<Bound<'py, PyList>>> {
        let (ids, offsets) = self.encoded_batch(&texts, threads, max_tokens, allowed_special, disallowed_special)?;
        offsets.windows(2).map(|range| self.list(py, &ids[range[0]..range[1]])).collect()
    }

    #[pyo3(signature = (texts, *, threads=None, max_tokens=None, dtype=None, out=None, allowed_special=None, disallowed_special=None))]
    #[expect(clippy::too_many_arguments, reason = "each is one keyword")]
    fn encode_batch_to_numpy<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<Bound<'py, PyString>>,
        threads: Option<usize>,
        max_tokens: Option<i64>,
        dtype: Names<'_, 'py>,
        out: Names<'_, 'py>,
        allowed_special: Names,
        disallowed_special: Names,
    ) -> PyResult<(Bound<'py, PyAny>, Offsets<'py>)> {
        let output = Output::new(dtype, out)?;
        let (ids, offsets) = self.encoded_batch(&texts, threads, max_tokens, allowed_special, disallowed_special)?;
        let offsets = offsets.into_iter().map(|offset| (offset as u64).cast_signed()).collect();
        Ok((output.filled(py, ids)?, PyArray1::from_vec(py, offsets)))
    }

    #[pyo3(signature = (path, *, threads=None, dtype=None, out=None, allowed_special=None, disallowed_special=None))]
    #[expect(clippy::too_many_arguments, reason = "each is one keyword")]
    fn encode_file<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        threads: Option<usize>,
        dtype: Names<'_, 'py>,
        out: Names<'_, 'py>,
        allowed_special: Names,
        disallowed_special: Names,
    ) -> PyResult<Bound<'py, PyAny>> {
        let output = Output::new(dtype, out)?;
        let (policy, threads) = (self.policy(allowed_special, disallowed_special)?, threads::count(threads)?);
        let ids = py.detach(|| self.core.encode_file(&path, &policy, threads));
        output.filled(py, ids.map_err(CoreError::from)?)
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
        threads: Option<usize>,
        progress: Option<Py<PyAny>>,
        allowed_special: Names,
        disallowed_special: Names,
    ) -> PyResult<u64> {
        let policy = self.policy(allowed_special, disallowed_special)?;
        let options = TokenFileOptions {
            width: dtype.map_or_else(|| Ok(self.narrowest()), width_of)?,
            policy: &policy,
            end_id: end_token.map(|text| self.special_id(text)).transpose()?,
            reading: Reading { text_field, separator: separator.map(str::as_bytes) },
            threads: threads::count(threads)?,
        };
        let mut listener = Listener::new(progress);
        let mut watch = |n_bytes| listener.hear(("encoding", n_bytes, 0));
        let written = py.detach(|| encode_files(&self.core, &inputs, &output, &options, &mut watch));
        listener.result(written)
    }

    fn count(&self, text: &Bound<'_, PyString>) -> PyResult<usize> {
        let valid = utf8(text)?;
        let count = released(text.py(), valid.len(), || self.core.count(&valid));
        Ok(count.map_err(CoreError::from)?)
    }

    #[pyo3(name = "decode", signature = (ids, errors="replace"))]
    fn decode_text<'py>(&self, py: Python<'py>, ids: &Bound<'py, PyAny>, errors: &str) -> PyResult<Bound<'py, PyAny>> {
        let bytes = self.decode_bytes(py, ids)?;
        match std::str::from_utf8(bytes.as_bytes()) {
            Ok(text) => Ok(PyString::new(py, text).into_any()),
            Err(_) => bytes.call_method1("decode", ("utf-8", errors)),
        }
    }

    fn decode_bytes<'py>(&self, py: Python<'py>, ids: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let ids = self::ids(ids)?;
        let ids: &[u32] = &ids;
        let bytes = released(py, ids.len() * 4, || self.core.decode_bytes(ids));
        Ok(PyBytes::new(py, &bytes.map_err(CoreError::from)?))
    }

    #[pyo3(signature = (batch, errors="replace"))]
    fn decode_batch<'py>(&self, batch: &Bound<'py, PyAny>, errors: &str) -> PyResult<Vec<Bound<'py, PyAny>>> {
        batch.try_iter()?.map(|ids| self.decode_text(batch.py(), &ids?, errors)).collect()
    }

    fn decode_with_offsets(&self, ids: &Bound<'_, PyAny>) -> PyResult<(String, Vec<usize>)> {
        Ok(self.core.decode_with_offsets(&self::ids(ids)?).map_err(CoreError::from)?)
    }

    fn pretokens<'py>(&self, text: &Bound<'py, PyString>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let found = self.core.pretokens(&utf8(text)?).map_err(CoreError::from)?;
        Ok(found.iter().map(|pretoken| PyBytes::new(text.py(), pretoken)).collect())
    }

    fn normalized(&self, text: &Bound<'_, PyString>) -> PyResult<String> {
        Ok(self.core.vocab().normalizer().normalize(&utf8(text)?).into_owned())
    }

    fn decode_stream(&self) -> DecodeStream {
        DecodeStream::new(Arc::clone(&self.core))
    }

    fn decode_single_token_bytes<'py>(&self, py: Python<'py>, token: u32) -> PyResult<Bound<'py, PyBytes>> {
        let vocab = self.core.vocab();
        let unknown =
            || PyKeyError::new_err(format!("token id {token} is not in this vocabulary of {} ids", vocab.n_vocab()));
        vocab.token_bytes(token).map(|bytes| PyBytes::new(py, bytes)).ok_or_else(unknown)
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
        Self::of(py.detach(|| self.core.truncated(n_vocab)).map_err(CoreError::from)?)
    }

    fn save_as(&self, py: Python<'_>, path: PathBuf, form: &str) -> PyResult<()> {
        let format: Format = form.parse().map_err(CoreError::from)?;
        Ok(py.detach(|| self.core.save(&path, format)).map_err(CoreError::from)?)
    }

    fn to_readable(&self) -> PyResult<String> {
        Ok(formats::to_readable(self.core.vocab(), self.core.splitter()).map_err(CoreError::from)?)
    }
}

/// Reads a vocabulary; see `bytemill.Tokenizer.load`.
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
    let core = py.detach(|| Core::load(&path, choice, given.as_deref()));
    Tokenizer::of(core.map_err(CoreError::from)?)
}

/// A tokenizer from what `Tokenizer.to_readable` wrote.
#[pyfunction]
pub(crate) fn tokenizer_from_readable(py: Python<'_>, text: &str) -> PyResult<Tokenizer> {
    let (vocab, splitter) = py.detach(|| formats::from_readable(text)).map_err(CoreError::from)?;
    Tokenizer::of(Core::new(vocab, splitter))
}

/// A tokenizer from tiktoken's ranks.
#[pyfunction]
pub(crate) fn tokenizer_from_ranks(
    py: Python<'_>,
    ranks: Vec<(Vec<u8>, u32)>,
    pattern: Option<&str>,
    special_tokens: Vec<(String, u32)>,
) -> PyResult<Tokenizer> {
    let core = py.detach(|| Core::from_ranks(&ranks, pattern, special_tokens));
    Tokenizer::of(core.map_err(CoreError::from)?)
}
