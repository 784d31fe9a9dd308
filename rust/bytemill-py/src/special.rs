//! `allowed_special` and `disallowed_special` as passed by Python.

use bytemill::encode::{SpecialPolicy, Specials};
use bytemill::tokenizer::Tokenizer as Core;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyString;

use crate::error::CoreError;

/// The word "all", or texts.
enum Choice {
    All,
    Of(Vec<PyBackedStr>),
}

impl Choice {
    fn of(option: Option<&Bound<'_, PyAny>>, when_missing: Self) -> PyResult<Self> {
        let Some(option) = option else { return Ok(when_missing) };
        if let Ok(word) = option.cast::<PyString>() {
            return if word.to_str()? == "all" {
                Ok(Self::All)
            } else {
                Err(PyValueError::new_err(format!("expected \"all\" or a collection of str, found {word:?}")))
            };
        }
        option.try_iter()?.map(|text| text?.extract()).collect::<PyResult<_>>().map(Self::Of)
    }

    fn texts(&self) -> Vec<&str> {
        match self {
            Self::All => Vec::new(),
            Self::Of(texts) => texts.iter().map(|text| &**text).collect(),
        }
    }

    fn specials<'s>(&self, texts: &'s [&'s str]) -> Specials<'s> {
        match self {
            Self::All => Specials::All,
            Self::Of(_) => Specials::Of(texts),
        }
    }
}

/// Return whether these options treat special tokens as ordinary text: nothing is allowed and nothing is refused.
pub(crate) fn is_ordinary(allowed: Option<&Bound<'_, PyAny>>, disallowed: Option<&Bound<'_, PyAny>>) -> bool {
    let is_empty =
        |option: &Bound<'_, PyAny>| !option.is_instance_of::<PyString>() && option.len().is_ok_and(|n| n == 0);
    disallowed.is_some_and(is_empty) && allowed.is_none_or(is_empty)
}

/// Return the core's policy; without options nothing is allowed and everything is refused, as in tiktoken.
pub(crate) fn policy(
    core: &Core,
    allowed: Option<&Bound<'_, PyAny>>,
    disallowed: Option<&Bound<'_, PyAny>>,
) -> PyResult<SpecialPolicy> {
    let allowed = Choice::of(allowed, Choice::Of(Vec::new()))?;
    let disallowed = Choice::of(disallowed, Choice::All)?;
    let (allowed_texts, disallowed_texts) = (allowed.texts(), disallowed.texts());
    let made = core.special_policy(allowed.specials(&allowed_texts), disallowed.specials(&disallowed_texts));
    Ok(made.map_err(CoreError::from)?)
}
