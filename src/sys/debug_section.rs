//! The section of this library that CPython's remote debugger reads, from outside, to find asyncio's tasks.
//!
//! On 3.14 it looks for the section in the first library whose file is called `*_asyncio.cpython-*`, which may be ours. It
//! reads the memory of the process, so that the section can be filled when the offsets are known. Until then, and if they
//! never are, they lead nowhere: the debugger says that it cannot read there. (From 3.15 on it looks at the interpreter
//! first, and a section of ours would only stand in the way.)

#[cfg(all(Py_3_14, not(Py_3_15), target_os = "linux"))]
mod section {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::WORDS;

    /// No address of a process is so high that adding this does not lead out of it.
    const NOWHERE: u64 = 1 << 62;

    #[used]
    #[unsafe(link_section = ".AsyncioDebug")]
    // Writable, as it is not constant. No other object goes there.
    static SECTION: [AtomicU64; WORDS] = [const { AtomicU64::new(NOWHERE) }; WORDS];

    pub(crate) fn publish(words: [u64; WORDS]) {
        for (place, word) in SECTION.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
    }
}

#[cfg(not(all(Py_3_14, not(Py_3_15), target_os = "linux")))]
mod section {
    pub(crate) fn publish(_words: [u64; super::WORDS]) {}
}

/// The length of `struct _Py_AsyncioModuleDebugOffsets`.
pub(crate) const WORDS: usize = 13;

pub(crate) use section::publish;
