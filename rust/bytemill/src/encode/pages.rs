//! Memory in large pages, where the system has them: a tenth of the time to get it, and fewer searches for where it is.

#![allow(unsafe_code)] // There is no other way to ask the system (figures in docs/benchmarks.md).

/// Fewer bytes are not worth a call to the system.
#[cfg(target_os = "linux")]
const WORTH_BYTES: usize = 4 << 20;

/// Asks for large pages for what `memory` has room for and does not hold yet; a wish, never an error.
pub(crate) fn advise<T>(memory: &mut Vec<T>) {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 4096;
        let room = memory.spare_capacity_mut();
        let (start, n_bytes) = (room.as_mut_ptr().addr().next_multiple_of(PAGE), size_of_val(room));
        if n_bytes >= WORTH_BYTES {
            // SAFETY: the pages lie inside memory that is ours, and this advice changes nothing of what they hold.
            unsafe { libc::madvise(start as *mut libc::c_void, n_bytes - PAGE, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
}
