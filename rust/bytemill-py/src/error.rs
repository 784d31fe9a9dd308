//! Converts all errors of the core to Python exceptions.

use std::io;

use bytemill::Error;
use bytemill::error::Kind;
use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyType;

/// An error of the core on its way to Python; `?` converts between the two.
pub(crate) struct CoreError(Error);

impl From<Error> for CoreError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<CoreError> for PyErr {
    fn from(CoreError(error): CoreError) -> Self {
        if let Error::Io { path, source } = &error
            && let Some(code) = source.raw_os_error()
        {
            // OSError itself chooses FileNotFoundError, PermissionError, ... from the error number. Windows takes the
            // last argument for its own number; other systems ignore it.
            let reason = source.to_string();
            let reason = reason.split(" (os error").next().unwrap_or_default().to_owned();
            return PyOSError::new_err((code, reason, path.as_os_str().to_owned(), code));
        }
        let message = error.to_string();
        match error.kind() {
            // Without an error number, the kind alone chooses FileNotFoundError, PermissionError, ...
            Kind::Io => match &error {
                Error::Io { source, .. } => io::Error::new(source.kind(), message).into(),
                _ => PyOSError::new_err(message),
            },
            Kind::Utf8 => PyValueError::new_err(message),
            Kind::Interrupted => PyKeyboardInterrupt::new_err(()),
            Kind::Argument => raise("ArgumentError", message),
            Kind::Data => raise("DataError", message),
            Kind::Format => raise("FormatError", message),
        }
    }
}

/// Create an instance of the exception `name` of `bytemill.errors`.
pub(crate) fn raise(name: &'static str, message: String) -> PyErr {
    Python::attach(|py| match py.import("bytemill.errors").and_then(|module| module.getattr(name)) {
        Ok(class) => match class.cast_into::<PyType>() {
            Ok(class) => PyErr::from_type(class, message),
            Err(error) => error.into(),
        },
        Err(error) => error,
    })
}
