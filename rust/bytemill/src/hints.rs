//! Hints to the processor and the system: they change the time taken, never a result.
//!
//! Encoding reads tables and merging reads an arena that are larger than the processor's near caches. Prefetching loads
//! data before it is needed. Huge pages of 2 MiB are allocated in a tenth of the time of 4 KiB pages and cause fewer
//! TLB misses. Measurements are in docs/experiments/encoding.md.

use crate::platform;

/// Return an empty vector with room for at least `capacity` elements, on huge pages if the system has them.
pub(crate) fn on_huge_pages<T>(capacity: usize) -> Vec<T> {
    let vector: Vec<T> = Vec::with_capacity(whole_huge_pages(capacity * size_of::<T>()) / size_of::<T>().max(1));
    want_huge_pages(vector.as_ptr(), vector.capacity());
    vector
}

const HUGE_PAGE_BYTES: usize = 2 << 20;
/// An upper bound for the bytes that an allocator puts before a block.
const ALLOCATOR_BYTES: usize = 512;

/// Round `n_bytes` up so that an allocator takes whole huge pages for it. Linux starts such memory at a huge page
/// boundary, and no part of it needs small pages.
pub fn whole_huge_pages(n_bytes: usize) -> usize {
    if n_bytes < HUGE_PAGE_BYTES {
        return n_bytes;
    }
    (n_bytes + ALLOCATOR_BYTES).next_multiple_of(HUGE_PAGE_BYTES) - ALLOCATOR_BYTES
}

/// Request huge pages for `n` elements allocated at `start` and not yet written, if they fill at least one huge page.
pub fn want_huge_pages<T>(start: *const T, n: usize) {
    if n * size_of::<T>() >= HUGE_PAGE_BYTES {
        platform::want_huge_pages(start.cast(), n * size_of::<T>());
    }
}

/// Reserve room as [`Vec::reserve`] does, on huge pages if the system has them.
#[inline]
pub(crate) fn reserve<T>(vector: &mut Vec<T>, more: usize) {
    reserve_with(vector, more, vector.capacity());
}

/// Reserve room for `more` elements as [`reserve`] does. If the vector must grow, also add room for `expected`
/// elements.
#[inline]
pub(crate) fn reserve_with<T>(vector: &mut Vec<T>, more: usize, expected: usize) {
    if vector.capacity() - vector.len() < more {
        let mut larger = on_huge_pages(vector.len() + more + expected);
        larger.append(vector);
        *vector = larger;
    }
}

/// Return freed memory that the allocator keeps to the system, because it counts as used.
pub(crate) fn give_back() {
    platform::give_back_memory();
}

/// Prefetch the element at `index` into the processor's caches. The index may be out of bounds.
#[inline]
#[allow(unsafe_code, reason = "the hint exists only as an unsafe call; docs/experiments/encoding.md has its gain")]
pub(crate) fn prefetch<T>(elements: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch has no effect that the program can see, so any address is allowed.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(elements.as_ptr().wrapping_add(index).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (elements, index);
}

/// Prefetch all of `bytes`, as [`prefetch`] does.
#[inline]
pub(crate) fn prefetch_all(bytes: &[u8]) {
    const LINE_BYTES: usize = 64;
    (0..bytes.len()).step_by(LINE_BYTES).for_each(|at| prefetch(bytes, at));
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
