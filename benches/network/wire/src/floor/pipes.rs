//! Echo from a named pipe to another one. A message fits into a pipe, so there is always room for the answer.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use wire::poll::Poll;

use crate::{READ, ready};

pub(crate) fn serve(directory: &Path) -> io::Result<()> {
    let mut requests = File::open(directory.join("requests"))?;
    let mut answers = File::options().write(true).open(directory.join("answers"))?;
    let poll = Poll::new(None)?;
    poll.add(&requests)?;
    ready(0)?;
    let (mut events, mut buffer) = (Vec::new(), vec![0; READ]);
    loop {
        poll.wait(&mut events)?;
        let received = requests.read(&mut buffer)?;
        if received == 0 {
            return Ok(());
        }
        answers.write_all(&buffer[..received])?;
    }
}
