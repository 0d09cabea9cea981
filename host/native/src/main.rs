//! `bootc-image-native`: the process in which a native extension runs. `bootc-image` starts it, because a static executable cannot
//! load libraries itself (docs/adr/0010-native-extensions.md).
//!
//! Descriptor 3 is the socket for requests and answers, descriptor 4 a sealed copy of the library in memory. The process limits
//! itself, loads the library and passes on requests and answers, as defined in `bootc-image-native-protocol`. It checks no policy.

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
            // If stderr is closed, the error cannot be reported.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers requests until the host closes the socket.
fn serve() -> io::Result<()> {
    let started_by_hand =
        || io::Error::other("this program is started by bootc-image; see: bootc-image --help");
    if std::env::args_os().len() != 1 || [SOCKET, LIBRARY].iter().any(|number| !limits::is_open(*number)) {
        return Err(started_by_hand());
    }
    // SAFETY: both descriptors are open, and nothing else in this process uses them.
    #[allow(unsafe_code)]
    let (mut socket, library) = unsafe { (UnixStream::from_raw_fd(SOCKET), File::from_raw_fd(LIBRARY)) };
    let Some(Frame::Message(Ask::Load(load))) = receive(&mut socket, LARGEST_FRAME)? else {
        return Err(started_by_hand());
    };
    let limited = limits::apply(&load).and_then(|()| {
        limits::exit_with_host(&socket).map_err(|error| format!("cannot start a thread: {error}"))
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
        // Fails without an answer, so that half a list is not taken for a complete one.
        let answer = answer.ok_or_else(|| io::Error::other("the host closed the connection"))?;
        send(&mut socket, &answer)?;
    }
    Ok(())
}
