//! Checks whether this interpreter's objects may be read and written without the stable ABI.

use pyo3::prelude::*;

/// Versions of `CPython` that passed the tests of the memory layout of strings and lists. Other versions use the calls
/// of the stable ABI, which take longer.
const TESTED: [(u8, u8); 3] = [(3, 11), (3, 12), (3, 13)];

/// Return whether strings and lists may have the memory layout of `CPython` with its lock. Callers still check the
/// content of objects before they rely on the layout.
///
/// Free-threaded builds use another layout, and may free a list's items while another thread reads them.
pub(crate) fn objects_are_known(py: Python<'_>) -> bool {
    let version = py.version_info();
    cfg!(not(Py_GIL_DISABLED)) && TESTED.contains(&(version.major, version.minor))
}
