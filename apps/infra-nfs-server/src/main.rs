//! Serves a folder by NFS, version 3, to whoever can reach it: `infra-nfs-server FOLDER [PORT]`.
//!
//! Mounts, files and the port mapper answer at one port, so that a client needs no other:
//! `mount -t nfs -o nfsvers=3,proto=tcp,port=2049,mountport=2049,mountproto=tcp,nolock SERVER:/FOLDER PATH`.
//! Whoever may mount it may read and write everything: there is one owner, and no locks between machines.

use std::path::PathBuf;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

/// Where NFS is by agreement.
const PORT: u16 = 2049;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next().map(PathBuf::from) else {
        eprintln!("usage: infra-nfs-server FOLDER [PORT]");
        return ExitCode::from(2);
    };
    let port = arguments.next().map_or(Ok(PORT), |port| port.parse());
    let Ok(port) = port else {
        eprintln!("the port is a number from 1 to 65535");
        return ExitCode::from(2);
    };
    let mut end = signal(SignalKind::terminate()).expect("signals can be taken");
    let address = format!("0.0.0.0:{port}");
    let serving = infra_nfs_server::serve(&folder, &address, |port| {
        println!("serving {} at port {port}", folder.display());
    });
    tokio::select! {
        // Whatever was answered is on the disk: there is nothing to end.
        _ = end.recv() => ExitCode::SUCCESS,
        served = serving => {
            if let Err(error) = served {
                eprintln!("serve {}: {error}", folder.display());
            }
            ExitCode::FAILURE
        }
    }
}
