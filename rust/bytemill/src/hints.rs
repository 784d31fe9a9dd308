//! Hints to the processor and the system: they change the time taken, never a result.
//!
//! Encoding looks into tables, and merging jumps through an arena, that no near cache holds. What will be
//! looked at soon is fetched ahead, and pages of 2 MiB instead of 4 KiB are had in a tenth of the time and spare
//! searches for where they are; figures in docs/experiments/encoding.md.

// The hints are calls that only exist as `unsafe`; they pay for it.
#![allow(unsafe_code)]

/// An empty vector with room for `capacity` elements or more, on huge pages where the system has them.
pub(crate) fn on_huge_pages<T>(capacity: usize) -> Vec<T> {
    let vector: Vec<T> = Vec::with_capacity(whole_huge_pages(capacity * size_of::<T>()) / size_of::<T>().max(1));
    want_huge_pages(vector.as_ptr(), vector.capacity());
    vector
}

const HUGE_PAGE_BYTES: usize = 2 << 20;
/// More than allocators put before what they give.
const ALLOCATOR_BYTES: usize = 512;

/// `n_bytes`, or some more where that is what an allocator rounds up to whole huge pages: such memory Linux lays where a
/// huge page begins, and no part of it needs small ones.
pub fn whole_huge_pages(n_bytes: usize) -> usize {
    if n_bytes < HUGE_PAGE_BYTES {
        return n_bytes;
    }
    (n_bytes + ALLOCATOR_BYTES).next_multiple_of(HUGE_PAGE_BYTES) - ALLOCATOR_BYTES
}

/// Asks for huge pages for `n` elements that were allocated at `start` and not yet written, if they are that large.
pub fn want_huge_pages<T>(start: *const T, n: usize) {
    #[cfg(target_os = "linux")]
    if n * size_of::<T>() >= HUGE_PAGE_BYTES {
        const PAGE_BYTES: usize = 4096;
        let before = start.addr() % PAGE_BYTES;
        // SAFETY: the advice changes no content. Its failure, where the system has no huge pages or larger small ones,
        // is of no consequence.
        unsafe {
            libc::madvise(
                start.wrapping_byte_sub(before).cast_mut().cast(),
                before + n * size_of::<T>(),
                libc::MADV_HUGEPAGE,
            );
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, n);
}

/// As [`Vec::reserve`], on huge pages where the system has them.
#[inline]
pub(crate) fn reserve<T>(vector: &mut Vec<T>, more: usize) {
    reserve_with(vector, more, vector.capacity());
}

/// As [`reserve`]; where there is no room for `more` elements, room for `expected` behind them is made too.
#[inline]
pub(crate) fn reserve_with<T>(vector: &mut Vec<T>, more: usize, expected: usize) {
    if vector.capacity() - vector.len() < more {
        let mut larger = on_huge_pages(vector.len() + more + expected);
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

/// Fetches the element at `index`, which need not be there, into the processor's caches.
#[inline]
pub(crate) fn soon<T>(elements: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program sees, so it may be of any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(elements.as_ptr().wrapping_add(index).cast()) };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_sizes_become_whole_huge_pages_with_what_the_allocator_adds() {
        assert_eq!(whole_huge_pages(HUGE_PAGE_BYTES - 1), HUGE_PAGE_BYTES - 1);
        for n_bytes in [HUGE_PAGE_BYTES, 2 * HUGE_PAGE_BYTES - ALLOCATOR_BYTES, 77_777_777] {
            let more = whole_huge_pages(n_bytes);
            assert_eq!((more + ALLOCATOR_BYTES) % HUGE_PAGE_BYTES, 0);
            assert!((n_bytes..n_bytes + HUGE_PAGE_BYTES).contains(&more));
        }
    }

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
