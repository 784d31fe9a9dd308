//! Hints to the processor and the system: they change the time taken, never a result.
//!
//! Merging jumps through the arena, which is larger than any cache. What will be looked at soon is
//! fetched ahead, and pages of 2 MiB instead of 4 KiB spare the translation of addresses; figures in
//! docs/benchmarks.md.

// Both hints are calls that only exist as `unsafe`; they pay for it (docs/benchmarks.md).
#![allow(unsafe_code)]

/// An empty vector with room for `capacity` elements, on huge pages where the system has them.
pub(super) fn on_huge_pages<T>(capacity: usize) -> Vec<T> {
    let vector: Vec<T> = Vec::with_capacity(capacity);
    #[cfg(target_os = "linux")]
    linux::advise(vector.as_ptr().cast(), capacity * size_of::<T>());
    vector
}

/// Gives memory that was freed back to the system, where the allocator keeps it: it counts as taken.
pub(super) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    linux::trim();
}

/// Fetches the element at `index` into the processor's caches, if there is one.
#[inline]
pub(super) fn soon<T>(elements: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(element) = elements.get(index) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the address is that of a reference; a prefetch reads nothing that the program sees.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(element).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (elements, index);
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{c_int, c_void};

    const HUGE_PAGE_BYTES: usize = 2 << 20;
    const MADV_HUGEPAGE: c_int = 14;

    unsafe extern "C" {
        fn madvise(start: *mut c_void, bytes: usize, advice: c_int) -> c_int;
        #[cfg(target_env = "gnu")]
        fn malloc_trim(kept_bytes: usize) -> c_int;
    }

    #[cfg(target_env = "gnu")]
    pub(super) fn trim() {
        // SAFETY: the function asks for nothing, and is safe beside other threads.
        unsafe { malloc_trim(0) };
    }

    /// Asks for huge pages where whole ones fit into the `bytes` from `start` on.
    pub(super) fn advise(start: *const c_void, bytes: usize) {
        let skipped = start.align_offset(HUGE_PAGE_BYTES);
        let whole = bytes.saturating_sub(skipped) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
        if whole > 0 {
            // SAFETY: the range lies in an allocation of the caller; the advice changes no content. Its
            // failure, where the system has no huge pages, is of no consequence.
            unsafe { madvise(start.wrapping_byte_add(skipped).cast_mut(), whole, MADV_HUGEPAGE) };
        }
    }
}
