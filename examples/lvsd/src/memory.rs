//! Gives memory back that is not used any more.

// One call of the C library.
#![allow(unsafe_code)]

/// Gives whole pages back to the kernel that were used and are not: what loading took, what many changes of role at once
/// took. The allocator would keep them, in the place of each thread that had them.
///
/// Takes a millisecond for some ten megabytes; meanwhile another thread that allocates may have to wait.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: may be called at any time by any thread (malloc_trim(3): MT-Safe); nothing that is in use moves.
    unsafe {
        libc::malloc_trim(0);
    }
}
