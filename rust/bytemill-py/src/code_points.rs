//! The code points of a long Python string where they lie, so that its UTF-8 can be written without `CPython`.
//!
//! `CPython` takes four times as long for it, on fresh pages, holds the interpreter, and keeps what it wrote for as long
//! as the string lives. The stable ABI has no other way to a string's content than copies of it; so where strings
//! lie in memory as they have since 3.3, which is looked at once, they are read there.

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

/// The UTF-8 of shorter strings takes few pages, and serves again where they come again.
const LONG: isize = 1 << 18;

/// How every string begins.
#[repr(C)]
struct Head {
    object: ffi::PyObject,
    n_code_points: ffi::Py_ssize_t,
    hash: ffi::Py_hash_t,
    state: u32,
}

/// What differs between versions of `CPython`.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Where in its state a string tells how it is kept.
    shift: u32,
    /// Bytes from a string's start to the pointer to its UTF-8, null where nobody asked for that.
    utf8: usize,
    /// Bytes from a string's start to its code points.
    code_points: usize,
}

/// Looked at once; `None` where strings are unlike what is described here.
static LAYOUT: PyOnceLock<Option<Layout>> = PyOnceLock::new();

/// In a string's state: the bytes of a code point, whether the code points follow the head, whether they are ASCII.
const HOW_KEPT: u32 = 0b1_1111;
const FOLLOWING: u32 = 0b0_1000;

/// The UTF-8 of `text`, if that is long, not ASCII and without lone surrogates, and `CPython` does not have it already.
pub(crate) fn to_utf8(text: &Bound<'_, PyString>) -> PyResult<Option<String>> {
    // SAFETY: the call reads the length of what is a string.
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
    /// That of this interpreter, if strings that are made for it have what they should where it is looked for.
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

    /// How many bytes `text` takes for a code point, if these follow its head and its UTF-8 is not there.
    fn bytes_each(self, text: &Bound<'_, PyString>) -> Option<usize> {
        let string = text.as_ptr();
        // SAFETY: both lie before the code points, in what any string has but one of ASCII, which tells that first.
        unsafe {
            let how = (*string.cast::<Head>()).state >> self.shift & HOW_KEPT;
            let is_here = how & !0b111 == FOLLOWING && string.byte_add(self.utf8).cast::<*const u8>().read().is_null();
            is_here.then_some((how & 0b111) as usize)
        }
    }

    /// The code points of `text`, of which each takes as many bytes as `T`.
    fn code_points<'t, T>(self, text: &'t Bound<'_, PyString>) -> &'t [T] {
        let string = text.as_ptr();
        // SAFETY: `bytes_each` told that they are there and so wide. They never change, and `text` keeps them.
        unsafe {
            let n_code_points = (*string.cast::<Head>()).n_code_points.unsigned_abs();
            slice::from_raw_parts(string.byte_add(self.code_points).cast(), n_code_points)
        }
    }
}

/// Bytes from the start of `text`, before `end`, to the pointer that appears there when its UTF-8 is asked for.
fn place_of_utf8(text: &Bound<'_, PyString>, end: usize) -> Option<usize> {
    let utf8 = text.to_str().ok()?.as_ptr().addr();
    // SAFETY: `end` is not beyond the string, which is aligned as pointers are.
    let words = unsafe { slice::from_raw_parts(text.as_ptr().cast::<usize>(), end / size_of::<usize>()) };
    let place = words.iter().position(|&word| word == utf8)?;
    Some(place * size_of::<usize>())
}
