//! Reads the code points of a long Python string in place, so that its UTF-8 can be written without `CPython`.
//!
//! `CPython` takes four times as long, uses fresh pages, holds the interpreter, and keeps its copy for as long as the
//! string lives. The stable ABI only offers copies of a string's content. So if the memory layout of strings is the one
//! used since 3.3, which is checked once, the code points are read directly.

// A first pass over 16 MiB takes four fifths of the time (docs/experiments/encoding.md).
#![allow(unsafe_code)]

use std::slice;

use bytemill::utf8;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

use crate::interpreter::objects_are_known;
use crate::listener::interruptibly;

/// Minimum length to read code points directly. The UTF-8 of shorter strings takes few pages, and `CPython` reuses it
/// when the same string is passed again.
const LONG: isize = 1 << 18;

/// The head of every string.
#[repr(C)]
struct Head {
    object: ffi::PyObject,
    n_code_points: ffi::Py_ssize_t,
    hash: ffi::Py_hash_t,
    state: u32,
}

/// The differences between versions of `CPython`.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Position of the bits in a string's state that describe its storage.
    shift: u32,
    /// Bytes from a string's start to the pointer to its UTF-8, which is null until it is requested.
    utf8: usize,
    /// Bytes from a string's start to its code points.
    code_points: usize,
}

/// Checked once; `None` if strings do not have the layout described here.
static LAYOUT: PyOnceLock<Option<Layout>> = PyOnceLock::new();

/// Fields of a string's state: bytes per code point, whether the code points follow the head, whether they are ASCII.
const HOW_KEPT: u32 = 0b1_1111;
const FOLLOWING: u32 = 0b0_1000;

/// Return the UTF-8 of `text` if it is long, not ASCII, without lone surrogates, and not yet stored by `CPython`.
pub(crate) fn to_utf8(text: &Bound<'_, PyString>) -> PyResult<Option<String>> {
    // SAFETY: the call reads the length of `text`, which is a string.
    if unsafe { ffi::PyUnicode_GetLength(text.as_ptr()) } < LONG {
        return Ok(None);
    }
    let py = text.py();
    let look = || if objects_are_known(py) { Layout::look(py) } else { None };
    let Some(layout) = *LAYOUT.get_or_init(py, look) else { return Ok(None) };
    match layout.bytes_each(text) {
        Some(1) => written(py, layout.code_points::<u8>(text)),
        Some(2) => written(py, layout.code_points::<u16>(text)),
        Some(4) => written(py, layout.code_points::<u32>(text)),
        _ => Ok(None),
    }
}

fn written<T: Copy + Into<u32> + Sync>(py: Python<'_>, code_points: &[T]) -> PyResult<Option<String>> {
    interruptibly(py, || Ok(utf8::from_code_points(code_points)))
}

impl Layout {
    /// Return the layout of this interpreter, if test strings have the expected values at the expected places.
    fn look(py: Python<'_>) -> Option<Self> {
        let narrow = PyString::new(py, "\u{e9}\u{e8}");
        let n_bytes: usize = narrow.call_method0("__sizeof__").ok()?.extract().ok()?;
        let code_points = n_bytes.checked_sub(3)?;
        let utf8 = place_of_utf8(&PyString::new(py, "\u{e9}\u{ea}"), code_points)?;
        let (wide, widest) = (PyString::new(py, "\u{4e2d}\u{e9}"), PyString::new(py, "\u{1f30d}\u{e9}"));
        [2, 16].into_iter().map(|shift| Self { shift, utf8, code_points }).find(|layout| {
            layout.fits(&narrow, &[0xe9_u8, 0xe8])
                && layout.fits(&wide, &[0x4e2d_u16, 0xe9])
                && layout.fits(&widest, &[0x1f30d_u32, 0xe9])
        })
    }

    fn fits<T: PartialEq>(self, text: &Bound<'_, PyString>, code_points: &[T; 2]) -> bool {
        self.bytes_each(text) == Some(size_of::<T>()) && self.code_points::<T>(text) == code_points
    }

    /// Return the bytes per code point of `text` if these follow its head and its UTF-8 is not stored.
    fn bytes_each(self, text: &Bound<'_, PyString>) -> Option<usize> {
        let string = text.as_ptr();
        // SAFETY: both are before the code points, in every string except ASCII ones, which the state shows first.
        unsafe {
            let how = (*string.cast::<Head>()).state >> self.shift & HOW_KEPT;
            let is_here = how & !0b111 == FOLLOWING && string.byte_add(self.utf8).cast::<*const u8>().read().is_null();
            is_here.then_some((how & 0b111) as usize)
        }
    }

    /// Return the code points of `text`, each of which takes as many bytes as `T`.
    fn code_points<'t, T>(self, text: &'t Bound<'_, PyString>) -> &'t [T] {
        let string = text.as_ptr();
        // SAFETY: `bytes_each` has checked that they are there and have this width. They never change, and `text`
        // keeps them.
        unsafe {
            let n_code_points = (*string.cast::<Head>()).n_code_points.unsigned_abs();
            slice::from_raw_parts(string.byte_add(self.code_points).cast(), n_code_points)
        }
    }
}

/// Return the bytes from the start of `text`, before `end`, to the pointer that is set when its UTF-8 is requested.
fn place_of_utf8(text: &Bound<'_, PyString>, end: usize) -> Option<usize> {
    let utf8 = text.to_str().ok()?.as_ptr().addr();
    // SAFETY: `end` is not beyond the string, which is aligned as pointers are.
    let words = unsafe { slice::from_raw_parts(text.as_ptr().cast::<usize>(), end / size_of::<usize>()) };
    let place = words.iter().position(|&word| word == utf8)?;
    Some(place * size_of::<usize>())
}
