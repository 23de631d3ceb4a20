//! The engine: ciphertext in, plaintext out, and back. It knows no sockets, and calls nobody but `_ssl` or its library.
//!
//! Both routes move bytes through the same two BIOs, so that either may go on where the other was. By the library, what
//! it refuses is not looked into here: `_ssl`'s own method is called right after, finds the library with the error still
//! to tell, and raises what it would have raised (the library does no more for a session that has failed).

use crate::names::{PENDING_METHOD, READ, WRITE};
use crate::sys::bytes::{self, Buffer, Held};
use crate::sys::memory::{make_room, no_memory};
use crate::sys::openssl::{self, End, Session};
use crate::sys::{Layout, Object, Owned, Raised, Res, call, containers, error};

use super::known::is_again;
use super::object::TlsObject;

/// The longest plaintext of a record: as much is read at once at most.
const RECORD: i64 = 16 * 1024;

/// What the transport has of the connection, which it may let go of meanwhile.
pub(super) struct Engine {
    socket: Owned,
    incoming: Owned,
    outgoing: Owned,
    is_direct: bool,
}

/// What has come of reading.
pub(super) struct Plaintext {
    pub(super) data: Option<Owned>,
    /// The peer has said that nothing will come any more.
    pub(super) is_last: bool,
}

impl Engine {
    #[inline]
    pub(super) fn of(transport: &TlsObject) -> Self {
        let socket = transport.socket.get_or_none();
        // The program may give it another context (`SSLObject.context`), whose callbacks the library calls from then on.
        let is_direct = transport.is_direct.get() && openssl::has_context(&socket, &transport.context);
        Engine {
            socket,
            incoming: transport.incoming.get_or_none(),
            outgoing: transport.outgoing.get_or_none(),
            is_direct,
        }
    }

    /// The session, where the library is called directly.
    #[inline]
    pub(super) fn session(&self) -> Option<Session<'_>> {
        if self.is_direct { Session::of(&self.socket, &self.incoming, &self.outgoing) } else { None }
    }

    /// How many bytes of ciphertext have come that were not looked at yet.
    #[inline]
    pub(super) fn incoming_size(&self) -> Res<usize> {
        self.session().map_or_else(|| pending(&self.incoming), |session| Ok(session.incoming_size()))
    }

    /// How many bytes of ciphertext are to be sent.
    #[inline]
    pub(super) fn outgoing_size(&self) -> Res<usize> {
        self.session().map_or_else(|| pending(&self.outgoing), |session| Ok(session.outgoing_size()))
    }

    /// Takes the ciphertext that is to be sent.
    #[inline]
    pub(super) fn take_outgoing(&self) -> Res<Owned> {
        match self.session() {
            Some(session) => session.take_outgoing(),
            None => call::call_method(&READ, &[&*self.outgoing], None),
        }
    }

    /// Ciphertext that has come, as a `bytes`.
    pub(super) fn feed(&self, ciphertext: &Object) -> Res<()> {
        match (self.session(), bytes::of_exact(ciphertext)) {
            (Some(session), Some(content)) => fed(session.feed(content)),
            _ => call::call_method(&WRITE, &[&*self.incoming, ciphertext], None).map(drop),
        }
    }

    /// Decrypts all that has come.
    pub(super) fn read_all(&self) -> Res<Plaintext> {
        match self.session() {
            Some(session) => self.told(session.read_all()),
            None => self.read_records(None),
        }
    }

    /// What the library has decrypted, and what it has to say.
    pub(super) fn told(&self, read: Res<(Option<Owned>, End)>) -> Res<Plaintext> {
        match read? {
            (data, End::NotNow | End::Full) => Ok(Plaintext { data, is_last: false }),
            (data, End::Closed) => Ok(Plaintext { data, is_last: true }),
            (data, End::Failed) => self.read_records(data),
        }
    }

    /// The same by `_ssl`'s methods; behind what was read already.
    fn read_records(&self, before: Option<Owned>) -> Res<Plaintext> {
        let mut records = Vec::from_iter(before);
        let is_last = loop {
            match self.read_record()? {
                None => break false,
                Some(record) if bytes::of_exact(&record).is_none_or(<[u8]>::is_empty) => break true,
                Some(record) => {
                    make_room(&mut records)?;
                    records.push(record);
                }
            }
            if !self.has_more()? {
                break false;
            }
        };
        let data = if records.is_empty() { None } else { Some(bytes::joined(&records)?) };
        Ok(Plaintext { data, is_last })
    }

    /// `_SSLSocket.read(RECORD)`: what there is of a record; nothing at the end; `None` if nothing is there now.
    fn read_record(&self) -> Res<Option<Owned>> {
        let size = containers::int(RECORD)?;
        unless_again(call::call_method(&READ, &[&*self.socket, &*size], None))
    }

    /// Might there be more to read? (Of what is in the library's own buffer no more than a part of a record is unread.)
    fn has_more(&self) -> Res<bool> {
        Ok(pending(&self.incoming)? > 0 || self.ready()? > 0)
    }

    /// `_SSLSocket.pending()`: how much is left of the record that was decrypted last.
    fn ready(&self) -> Res<i64> {
        call::call_method(&PENDING_METHOD, &[&*self.socket], None).and_then(|count| containers::int_value(&count))
    }

    /// Decrypts into what an object has lent, until it is full or nothing more is there. It is the object's again then.
    pub(super) fn read_into(&self, object: &Object, memory: Buffer) -> Res<(usize, End)> {
        let length = memory.len();
        let (count, end) = match self.session() {
            Some(session) => session.read_into(&memory),
            None => (0, End::Failed),
        };
        drop(memory);
        if end == End::Failed { self.read_records_into(object, length, count) } else { Ok((count, end)) }
    }

    /// The same by `_ssl`'s methods; behind what was read already.
    fn read_records_into(&self, object: &Object, length: usize, before: usize) -> Res<(usize, End)> {
        let view = bytes::view_from(object, 0)?;
        let mut count = before;
        while count < length {
            let rest = bytes::rest_of(&view, count)?;
            let room = containers::int(i64::try_from(length - count).unwrap_or(i64::MAX))?;
            match unless_again(call::call_method(&READ, &[&*self.socket, &*room, &*rest], None))? {
                None => return Ok((count, End::NotNow)),
                Some(more) => match usize::try_from(containers::int_value(&more)?) {
                    Ok(more) if more > 0 => count += more,
                    _ => return Ok((count, End::Closed)),
                },
            }
            if count < length && !self.has_more()? {
                return Ok((count, End::NotNow));
            }
        }
        Ok((count, End::Full))
    }

    /// `_SSLSocket.read(length, object)`, of an object of whose memory not much is known.
    pub(super) fn read_once_into(&self, object: &Object, length: usize) -> Res<(usize, End)> {
        let room = containers::int(i64::try_from(length).unwrap_or(i64::MAX))?;
        match unless_again(call::call_method(&READ, &[&*self.socket, &*room, object], None))? {
            None => Ok((0, End::NotNow)),
            Some(more) => match usize::try_from(containers::int_value(&more)?) {
                // There may be more.
                Ok(count) if count > 0 => Ok((count, End::Full)),
                _ => Ok((0, End::Closed)),
            },
        }
    }

    /// Encrypts the pieces at once, if nothing else is to be sent: into the `bytes` that is to be sent. With it, of how many
    /// pieces, and of how many bytes of the next one, that was done.
    pub(super) fn write_all(&self, pieces: &[Held]) -> Option<Res<(Owned, usize, usize)>> {
        let session = self.session().filter(|session| session.outgoing_size() == 0)?;
        Some(session.write_all(pieces))
    }

    /// Ciphertext that is to wait after all.
    pub(super) fn put_back(&self, ciphertext: &Object) -> Res<()> {
        match (self.session(), bytes::of_exact(ciphertext)) {
            (Some(session), Some(content)) => fed(session.put_back(content)),
            _ => Ok(()),
        }
    }

    /// Encrypts the piece; of how many of its bytes that was done, and what was raised if it was not of all. By the
    /// library nothing is raised here.
    pub(super) fn write(&self, piece: &Held) -> (usize, Option<Raised>) {
        if let Some(session) = self.session() {
            return (session.write(piece), None);
        }
        let mut count = 0;
        match self.write_records(piece.object(), piece.len(), &mut count) {
            Ok(()) => (count, None),
            Err(raised) => (count, Some(raised)),
        }
    }

    /// The same by `_SSLSocket.write`, which does it of a record at most.
    fn write_records(&self, data: &Object, length: usize, count: &mut usize) -> Res<()> {
        let mut view: Option<Owned> = None;
        while *count < length {
            let rest = match &view {
                None => data.own(),
                Some(view) => bytes::rest_of(view, *count)?,
            };
            let written = call::call_method(&WRITE, &[&*self.socket, &*rest], None)?;
            match usize::try_from(containers::int_value(&written)?) {
                Ok(more) if more > 0 => *count += more,
                _ => return Ok(()),
            }
            if *count < length && view.is_none() {
                view = Some(bytes::view_from(data, 0)?);
            }
        }
        Ok(())
    }
}

/// `MemoryBIO.pending`
fn pending(bio: &Object) -> Res<usize> {
    let count = call::getattr(bio, &PENDING_METHOD)?;
    Ok(usize::try_from(containers::int_value(&count)?).unwrap_or(0))
}

/// Was there memory for it?
pub(super) fn fed(taken: bool) -> Res<()> {
    if taken { Ok(()) } else { Err(no_memory()) }
}

/// `None` where asyncio's code would try again later.
fn unless_again(read: Res<Owned>) -> Res<Option<Owned>> {
    let Err(raised) = read else { return read.map(Some) };
    let exception = error::fetch(raised);
    if is_again(&exception) { Ok(None) } else { Err(error::restore(exception)) }
}
