//! Whether this interpreter's objects may be read and written past the stable ABI.

use pyo3::prelude::*;

/// Versions of `CPython` on which the tests passed that look at strings and lists in memory. On others the stable ABI's
/// calls are used, which take longer.
const TESTED: [(u8, u8); 3] = [(3, 11), (3, 12), (3, 13)];

/// Whether strings and lists lie in memory as `CPython` with its lock lays them out; where they do, what they hold is
/// still compared before it is relied on.
///
/// Free-threaded builds lay objects out in another way, and may free a list's items while another thread reads them.
pub(crate) fn objects_are_known(py: Python<'_>) -> bool {
    let version = py.version_info();
    cfg!(not(Py_GIL_DISABLED)) && TESTED.contains(&(version.major, version.minor))
}
