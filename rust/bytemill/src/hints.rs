//! Hints to the processor and the system: they change the time taken, never a result.
//!
//! Encoding looks into tables, and merging jumps through an arena, that no near cache holds. What will be
//! looked at soon is fetched ahead, and pages of 2 MiB instead of 4 KiB are had in a tenth of the time and spare
//! searches for where they are; figures in docs/benchmarks.md.

// The hints are calls that only exist as `unsafe`; they pay for it.
#![allow(unsafe_code)]

/// An empty vector with room for `capacity` elements, on huge pages where the system has them.
pub(crate) fn on_huge_pages<T>(capacity: usize) -> Vec<T> {
    let vector: Vec<T> = Vec::with_capacity(capacity);
    #[cfg(target_os = "linux")]
    linux::advise(vector.as_ptr().cast(), capacity * size_of::<T>());
    vector
}

/// As [`Vec::reserve`], on huge pages where the system has them.
#[inline]
pub(crate) fn reserve<T>(vector: &mut Vec<T>, more: usize) {
    if vector.capacity() - vector.len() < more {
        let mut larger = on_huge_pages((vector.capacity() * 2).max(vector.len() + more));
        larger.append(vector);
        *vector = larger;
    }
}

/// Gives memory that was freed back to the system, where the allocator keeps it: it counts as taken.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the function asks for nothing, and is safe beside other threads.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Fetches the element at `index` into the processor's caches, if there is one.
#[inline]
pub(crate) fn soon<T>(elements: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(element) = elements.get(index) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the address is that of a reference; a prefetch reads nothing that the program sees.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(element).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (elements, index);
}

/// As [`soon`], all of `bytes`.
#[inline]
pub(crate) fn all_soon(bytes: &[u8]) {
    const LINE_BYTES: usize = 64;
    (0..bytes.len()).step_by(LINE_BYTES).for_each(|at| soon(bytes, at));
}

#[cfg(target_os = "linux")]
mod linux {
    use libc::{MADV_HUGEPAGE, c_void, madvise};

    const HUGE_PAGE_BYTES: usize = 2 << 20;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_stays_where_room_is_made() {
        let mut vector = vec![1, 2, 3];
        reserve(&mut vector, 1 << 20);
        assert!(vector.capacity() >= 3 + (1 << 20));
        assert_eq!(vector, [1, 2, 3]);
        let room = vector.capacity();
        reserve(&mut vector, 5);
        assert_eq!(vector.capacity(), room);
    }
}
