//! Training for Python: options by name, progress reports to a callable, stops on Ctrl-C.

use std::ffi::CString;
use std::ops::ControlFlow;
use std::path::PathBuf;

use bytemill::corpus::Reading;
use bytemill::split::Splitter;
use bytemill::tokenizer::Tokenizer as Core;
use bytemill::train::{
    Base, Counter, Counting, DocumentUnit, Options, Progress, Provenance, Sink, SpecialTextFinder, Ties, WordCounts,
};
use bytemill::train::{count_documents, count_files, train_onto};
use bytemill::{Error, Result};
use pyo3::conversion::FromPyObjectOwned;
use pyo3::exceptions::{PyTypeError, PyUserWarning};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::error::CoreError;
use crate::listener::Listener;
use crate::text::utf8;
use crate::threads;
use crate::tokenizer::Tokenizer;

/// The keywords of `bytemill.Tokenizer.train` that change its result; a dict in Python.
struct TrainOptions {
    vocab_size: usize,
    pattern: Option<String>,
    special_tokens: Vec<String>,
    ties: Option<String>,
    feed: String,
    text_field: String,
    separator: Option<String>,
    min_frequency: u64,
    max_token_bytes: Option<usize>,
    utf8_safe: bool,
    max_memory: Option<u64>,
}

impl TrainOptions {
    fn of(options: &Bound<'_, PyDict>) -> PyResult<Self> {
        Ok(Self {
            vocab_size: option(options, "vocab_size")?,
            pattern: option(options, "pattern")?,
            special_tokens: option(options, "special_tokens")?,
            ties: option(options, "ties")?,
            feed: option(options, "feed")?,
            text_field: option(options, "text_field")?,
            separator: option(options, "separator")?,
            min_frequency: option(options, "min_frequency")?,
            max_token_bytes: option(options, "max_token_bytes")?,
            utf8_safe: option(options, "utf8_safe")?,
            max_memory: option(options, "max_memory")?,
        })
    }

    fn special_tokens(&self) -> Vec<&str> {
        self.special_tokens.iter().map(String::as_str).collect()
    }

    fn merging(&self, base: Option<&Core>) -> Result<Options, CoreError> {
        Ok(Options {
            n_merges: n_merges(self.vocab_size, base, &self.special_tokens)?,
            ties: ties_named(self.ties.as_deref(), self.pattern.as_deref())?,
            min_frequency: self.min_frequency,
            max_token_bytes: self.max_token_bytes,
            utf8_safe: self.utf8_safe,
            max_memory: self.max_memory,
        })
    }

    fn reading(&self) -> Reading<'_> {
        Reading {
            text_field: &self.text_field,
            separator: self.separator.as_deref().map(str::as_bytes),
            max_memory: self.max_memory,
        }
    }
}

/// Return one of the options; a wrong type is reported with its name, as for an argument.
fn option<'py, T: FromPyObjectOwned<'py>>(options: &Bound<'py, PyDict>, name: &str) -> PyResult<T> {
    let value = options.get_item(name)?.ok_or_else(|| PyTypeError::new_err(format!("options lack {name}")))?;
    value.extract::<T>().map_err(|error| {
        let error: PyErr = error.into();
        if !error.is_instance_of::<PyTypeError>(options.py()) {
            return error;
        }
        PyTypeError::new_err(format!("argument '{name}': {}", error.value(options.py())))
    })
}

/// Train a vocabulary; see `bytemill.Tokenizer.train`, which documents the options.
///
/// `source` is the name of one of its four sources (files, texts, `word_counts`, counts) and its value.
#[pyfunction]
#[pyo3(signature = (source, options, *, base, threads, save_counts, progress))]
pub(crate) fn train_tokenizer(
    py: Python<'_>,
    source: (String, Bound<'_, PyAny>),
    options: &Bound<'_, PyDict>,
    base: Option<&Bound<'_, Tokenizer>>,
    threads: Option<&Bound<'_, PyAny>>,
    save_counts: Option<PathBuf>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Tokenizer> {
    let options = TrainOptions::of(options)?;
    let given = base.map(|base| base.get().core());
    let base = given.map_or_else(|| Ok(Base::default()), |given| Base::of(given.vocab())).map_err(CoreError::from)?;
    let merging = options.merging(given)?;
    let splitter =
        given.map_or_else(|| Splitter::new(options.pattern.as_deref()), |given| Ok(given.splitter().clone()));
    let splitter = splitter.map_err(CoreError::from)?;
    let feed = feed_named(&options.feed)?;
    let special_texts = SpecialTextFinder::new(&options.special_tokens());
    let counting = Counting {
        splitter: &splitter,
        feed,
        threads: threads::count(threads)?,
        max_memory: options.max_memory,
        special_texts: Some(&special_texts),
    };
    let listener = Listener::new(progress);
    let provenance = Provenance::new(splitter.pattern(), feed);
    let (kind, source) = source;
    let counts = match kind.as_str() {
        "files" => {
            let paths: Vec<PathBuf> = source.extract()?;
            listener.run(py, || count_files(&paths, options.reading(), &counting, &mut |at| report(&listener, at)))
        }
        "texts" => count_texts(&source, &counting, &listener),
        "word_counts" => add_words(&source.extract::<Vec<_>>()?, Counter::new(splitter.clone())),
        "counts" => {
            let path: PathBuf = source.extract()?;
            listener.run(py, || WordCounts::load(&path, &provenance, options.max_memory))
        }
        other => {
            Err(PyTypeError::new_err(format!("the source is {other}, expected files, texts, word_counts or counts")))
        }
    }?;
    let vocab = listener.run(py, || {
        save_counts.map_or(Ok(()), |path| counts.save(&path, &provenance))?;
        let merges = train_onto(&base, &counts, merging, &mut |at| report(&listener, at))?;
        base.continued(&merges, &options.special_tokens())
    })?;
    special_texts.found().map_or(Ok(()), |text| warn_of(py, text))?;
    Tokenizer::of(Core::new(vocab, splitter))
}

/// Warn that the training text contains the text of a special token, which was read as ordinary text.
fn warn_of(py: Python<'_>, text: &str) -> PyResult<()> {
    let message = format!(
        "the training text holds {text:?}, the text of a special token, and training took it for ordinary text; \
         where it separates documents, give it as separator"
    );
    PyErr::warn(py, &py.get_type::<PyUserWarning>(), &CString::new(message)?, 2)
}

/// Count the texts of a Python iterable.
fn count_texts(texts: &Bound<'_, PyAny>, counting: &Counting, listener: &Listener) -> PyResult<WordCounts> {
    let (py, texts) = (texts.py(), texts.clone().unbind());
    listener.run(py, || {
        let mut watch = |at| {
            // Reading texts holds the interpreter, so let other threads run here.
            Python::attach(|py| py.detach(|| ()));
            report(listener, at)
        };
        count_documents(counting, &mut watch, |sink| {
            Python::attach(|py| add_texts(texts.bind(py), sink)).unwrap_or_else(|error| {
                listener.fail(error); // raised by the iterable
                Err(Error::Interrupted)
            })
        })
    })
}

fn add_texts(texts: &Bound<'_, PyAny>, sink: &mut Sink) -> PyResult<Result<()>> {
    for text in texts.try_iter()? {
        if let Err(error) = add_text(&text?, sink)? {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

fn add_text(text: &Bound<'_, PyAny>, sink: &mut Sink) -> PyResult<Result<()>> {
    with_bytes("texts", text, |bytes| sink.add(bytes))
}

/// Read pretokens that are counted already.
fn add_words(words: &[(Bound<'_, PyAny>, u64)], mut counter: Counter) -> PyResult<WordCounts> {
    for (word, count) in words {
        with_bytes("words", word, |bytes| counter.add_word(bytes, *count))?;
    }
    Ok(counter.into_counts().map_err(CoreError::from)?)
}

/// Call `each` with the bytes of a str, as UTF-8, or of bytes; `what` names them in the error.
fn with_bytes<T>(what: &str, text: &Bound<'_, PyAny>, each: impl FnOnce(&[u8]) -> T) -> PyResult<T> {
    if let Ok(bytes) = text.cast::<PyBytes>() {
        Ok(each(bytes.as_bytes()))
    } else if let Ok(string) = text.cast::<PyString>() {
        Ok(each(utf8(string)?.as_bytes()))
    } else {
        Err(PyTypeError::new_err(format!("{what} must be str or bytes, found {}", text.get_type().name()?)))
    }
}

fn report(listener: &Listener, at: Progress) -> ControlFlow<()> {
    let arguments = arguments(at);
    listener.report(arguments.1, arguments.2, arguments)
}

fn arguments(at: Progress) -> (&'static str, u64, u64) {
    match at {
        Progress::Counting { bytes } => ("counting", bytes, 0),
        Progress::Merging { done, wanted } => ("merging", done as u64, wanted as u64),
    }
}

/// Return the maximum number of merges, including those of the base vocabulary.
fn n_merges(vocab_size: usize, base: Option<&Core>, special_tokens: &[String]) -> Result<usize, CoreError> {
    let (n_given, n_merges) = base.map_or((256, 0), |base| (base.vocab().n_vocab(), base.vocab().merge_ids().len()));
    let is_known = |text: &&String| {
        base.is_some_and(|base| base.vocab().added_tokens().iter().any(|known| known.content == **text))
    };
    let n_special = special_tokens.iter().filter(|text| !is_known(text)).count();
    let smallest = n_given + n_special;
    let n_new = vocab_size.checked_sub(smallest).ok_or_else(|| {
        let (given, tokens) =
            (if base.is_some() { "ids of base" } else { "bytes" }, if n_special == 1 { "token" } else { "tokens" });
        let new = if base.is_some() { "new special" } else { "special" };
        argument(
            "vocab_size",
            vocab_size,
            format!("at least {smallest}: {n_given} {given} and {n_special} {new} {tokens}"),
        )
    })?;
    Ok(n_merges + n_new)
}

fn ties_named(name: Option<&str>, pattern: Option<&str>) -> Result<Ties, CoreError> {
    match name {
        None if pattern.is_none() => Ok(Ties::FirstSeen),
        None | Some("huggingface") => Ok(Ties::Huggingface),
        Some("lowest_id") => Ok(Ties::LowestId),
        Some("first_seen") => Ok(Ties::FirstSeen),
        Some("largest_bytes") => Ok(Ties::LargestBytes),
        Some(other) => Err(argument("ties", other, "huggingface, lowest_id, first_seen or largest_bytes")),
    }
}

fn feed_named(name: &str) -> Result<DocumentUnit, CoreError> {
    match name {
        "documents" => Ok(DocumentUnit::Documents),
        "lines" => Ok(DocumentUnit::Lines),
        other => Err(argument("feed", other, "documents or lines")),
    }
}

fn argument(name: &'static str, got: impl ToString, expected: impl Into<String>) -> CoreError {
    Error::Argument { name, got: got.to_string(), expected: expected.into() }.into()
}
