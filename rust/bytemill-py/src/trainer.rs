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
use pyo3::exceptions::{PyTypeError, PyUserWarning};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::error::CoreError;
use crate::listener::Listener;
use crate::text::utf8;
use crate::threads;
use crate::tokenizer::Tokenizer;

/// Train a vocabulary; see `bytemill.Tokenizer.train`, which documents the options.
#[pyfunction]
#[pyo3(signature = (*, files, texts, word_counts, counts, vocab_size, pattern, special_tokens, ties, feed, text_field, separator, min_frequency, max_token_bytes, utf8_safe, max_memory, threads, progress, base, save_counts))]
#[expect(clippy::too_many_arguments, reason = "each is one keyword of Tokenizer.train")]
pub(crate) fn train_tokenizer(
    py: Python<'_>,
    files: Option<Vec<PathBuf>>,
    texts: Option<Bound<'_, PyAny>>,
    word_counts: Option<Vec<(Bound<'_, PyAny>, u64)>>,
    counts: Option<PathBuf>,
    vocab_size: usize,
    pattern: Option<&str>,
    special_tokens: Vec<String>,
    ties: Option<&str>,
    feed: &str,
    text_field: &str,
    separator: Option<&str>,
    min_frequency: u64,
    max_token_bytes: Option<usize>,
    utf8_safe: bool,
    max_memory: Option<u64>,
    threads: Option<&Bound<'_, PyAny>>,
    progress: Option<Py<PyAny>>,
    base: Option<&Bound<'_, Tokenizer>>,
    save_counts: Option<PathBuf>,
) -> PyResult<Tokenizer> {
    let given = base.map(|base| base.get().core());
    let base = given.map_or_else(|| Ok(Base::default()), |given| Base::of(given.vocab())).map_err(CoreError::from)?;
    let options = Options {
        n_merges: n_merges(vocab_size, given, &special_tokens)?,
        ties: ties_named(ties, pattern)?,
        min_frequency,
        max_token_bytes,
        utf8_safe,
        max_memory,
    };
    let splitter = given.map_or_else(|| Splitter::new(pattern), |given| Ok(given.splitter().clone()));
    let splitter = splitter.map_err(CoreError::from)?;
    let (feed, threads) = (feed_named(feed)?, threads::count(threads)?);
    let special_texts = SpecialTextFinder::new(&special_tokens.iter().map(String::as_str).collect::<Vec<_>>());
    let counting = Counting { splitter: &splitter, feed, threads, max_memory, special_texts: Some(&special_texts) };
    let listener = Listener::new(progress);
    let provenance = Provenance::new(splitter.pattern(), feed);
    let counts = match (files, texts, word_counts, counts) {
        (Some(paths), None, None, None) => listener.run(py, || {
            let reading = Reading { text_field, separator: separator.map(str::as_bytes), max_memory };
            count_files(&paths, reading, &counting, &mut |at| report(&listener, at))
        }),
        (None, Some(texts), None, None) => count_texts(&texts, &counting, &listener),
        (None, None, Some(words), None) => add_words(&words, Counter::new(splitter.clone())),
        (None, None, None, Some(path)) => listener.run(py, || WordCounts::load(&path, &provenance, max_memory)),
        _ => return Err(PyTypeError::new_err("give one of files, texts, word_counts and counts, not several or none")),
    }?;
    let vocab = listener.run(py, || {
        save_counts.map_or(Ok(()), |path| counts.save(&path, &provenance))?;
        let merges = train_onto(&base, &counts, options, &mut |at| report(&listener, at))?;
        base.continued(&merges, &special_tokens.iter().map(String::as_str).collect::<Vec<_>>())
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
