//! `bootc-image-native`: the process in which a native extension runs, started by `bootc-image`, which is a static executable
//! and can't load a library (docs/adr/0010-native-extensions.md).
//!
//! Descriptor 3 is the socket on which it is asked, descriptor 4 the library, in memory and sealed. It limits itself, loads the
//! library, and passes on what is asked and answered, in the words of `bootc-image-native-protocol`. It judges nothing.

mod call;
mod elf;
mod lent;
mod library;
mod limits;

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::FromRawFd as _;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use bootc_image_native_protocol::{Answer, Ask, Frame, LARGEST_FRAME, LIBRARY, SOCKET, receive, send};

use crate::library::Library;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if stderr is gone.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers until nobody asks any more.
fn serve() -> io::Result<()> {
    let started_by_hand =
        || io::Error::other("this program is started by bootc-image; see: bootc-image --help");
    if std::env::args_os().len() != 1 || [SOCKET, LIBRARY].iter().any(|number| !limits::is_open(*number)) {
        return Err(started_by_hand());
    }
    // SAFETY: they are open, and nothing else in this process knows them.
    #[allow(unsafe_code)]
    let (mut socket, library) = unsafe { (UnixStream::from_raw_fd(SOCKET), File::from_raw_fd(LIBRARY)) };
    let Some(Frame::Message(Ask::Load(load))) = receive(&mut socket, LARGEST_FRAME)? else {
        return Err(started_by_hand());
    };
    let limited = limits::obey(&load).and_then(|()| {
        limits::end_with_the_host(&socket).map_err(|error| format!("cannot start a thread: {error}"))
    });
    let loaded = limited.and_then(|()| Library::load(&library));
    let library = match loaded {
        Ok(library) => library,
        Err(reason) => return send(&mut socket, &Answer::Unusable(reason)),
    };
    send(&mut socket, &Answer::Loaded { roles: library.roles() })?;
    let settings = call::Settings::of(&load)?;
    while let Some(frame) = receive(&mut socket, LARGEST_FRAME)? {
        limits::allow_processor_time(load.processor_seconds)?;
        let answer = match frame {
            Frame::Message(Ask::Evaluate(operation)) => library.evaluate(&socket, &settings, &operation),
            Frame::Message(Ask::Format(list)) => library.format(&socket, &settings, &list),
            Frame::Message(Ask::Plan(command)) => library.plan(&socket, &settings, &command),
            other => return Err(io::Error::other(format!("unexpected request: {other:?}"))),
        };
        // After half a list nobody must take it for a whole one.
        let answer = answer.ok_or_else(|| io::Error::other("the host closed the connection"))?;
        send(&mut socket, &answer)?;
    }
    Ok(())
}
