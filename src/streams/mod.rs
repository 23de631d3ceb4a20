//! asyncio's streams, grafted: readers and their protocol, writers.
//!
//! A byte that a transport has received goes to `StreamReaderProtocol.data_received` ([`protocol`]), from there to
//! `StreamReader.feed_data` ([`reader`]), which puts it into `_buffer` and wakes up whoever waits for data ([`wait`]): one
//! of the functions that read ([`read`], [`until`]). What is written goes to the transport, and `drain` waits as long as
//! that wants no more ([`writer`]).
//!
//! The reader is the Python object that it always was. Its attributes are looked at where the interpreter keeps them, and
//! `_buffer` is a real bytearray, whose contents are right at any time: all that native code keeps between two steps
//! is what the function was called with, and how far a separator was searched for.
//!
//! A function that has begun to read and cannot go on natively runs its own body from the start, which comes to the same:
//! what it reads is still in the buffer. Where it would not (an exception that was set meanwhile is for the next who reads)
//! what is left to do is done by `python/rasyncio/_graft_streams.py`.

pub(crate) mod lines;
pub(crate) mod protocol;
pub(crate) mod read;
pub(crate) mod reader;
mod transport;
pub(crate) mod until;
pub(crate) mod wait;
pub(crate) mod writer;

/// Tells transports how readers are fed. Called once, by the module's initialisation.
pub(crate) fn init() {
    #[cfg(target_os = "linux")]
    transport::register(&protocol::FEEDING);
}

const STREAMS: &str = "asyncio.streams";
const READER_CLASS: &str = "asyncio.streams:StreamReader";
const PROTOCOL_CLASS: &str = "asyncio.streams:StreamReaderProtocol";
