//! A section of a program or library, from its file: what no loader maps, and no symbol leads to.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// More than any file has that we ask about; what says otherwise is none.
const MOST_SECTIONS: usize = 1 << 12;
const LONGEST: u64 = 1 << 20;

const HEADER: usize = 64;
const SECTION_HEADER: usize = 64;
/// The magic number, and that it has 64 bits and this machine's order of bytes.
const IDENT: &[u8] = if cfg!(target_endian = "little") { b"\x7fELF\x02\x01" } else { b"\x7fELF\x02\x02" };

/// The contents of the section of that name; `None` if there is no such file, no ELF file, or no such section in it.
pub(super) fn section(file: &Path, name: &str) -> Option<Vec<u8>> {
    let mut file = File::open(file).ok()?;
    let header = read(&mut file, 0, HEADER as u64)?;
    if !header.starts_with(IDENT) {
        return None;
    }
    let (start, size) = (long(&header, 40)?, usize::from(short(&header, 58)?));
    let (count, of_names) = (usize::from(short(&header, 60)?), usize::from(short(&header, 62)?));
    if size != SECTION_HEADER || count > MOST_SECTIONS || of_names >= count {
        return None;
    }
    let table = read(&mut file, start, (count * size) as u64)?;
    let sections: Vec<&[u8]> = table.chunks_exact(size).collect();
    let names = contents(&mut file, sections[of_names])?;
    let has_name = |section: &&&[u8]| {
        let place = usize::try_from(word(section, 0)?).ok()?;
        names.get(place..)?.strip_prefix(name.as_bytes())?.starts_with(b"\0").then_some(())
    };
    let found = sections.iter().find(|section| has_name(section).is_some())?;
    contents(&mut file, found)
}

/// What a section's header says that it contains.
fn contents(file: &mut File, section: &[u8]) -> Option<Vec<u8>> {
    read(file, long(section, 24)?, long(section, 32)?)
}

fn read(file: &mut File, start: u64, length: u64) -> Option<Vec<u8>> {
    if length > LONGEST {
        return None;
    }
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn short(bytes: &[u8], place: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(place..)?.first_chunk()?))
}

fn word(bytes: &[u8], place: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(place..)?.first_chunk()?))
}

pub(super) fn long(bytes: &[u8], place: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(place..)?.first_chunk()?))
}
