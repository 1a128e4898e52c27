//! A folder by NFS, version 3.
//!
//! What a client holds of a file stays good when the server starts again, since it is made of what the disk says of the file, and
//! every answer to a write is given when the write is on the disk. So a server that is moved to another machine with its disk goes
//! on where it was, and its clients only wait.

mod files;
mod tree;

use std::io;
use std::path::Path;

use nfs3_server::tcp::{NFSTcp, NFSTcpListener};

use crate::files::Files;
use crate::tree::Tree;

/// The same in every life of the server: handles and write verifiers hold it.
const GENERATION: u64 = 1;

/// Serves a folder under its own path, at an address with a port; `began` is told the port. Ends with an error only.
///
/// # Errors
///
/// Where the folder cannot be read or the address cannot be had.
pub async fn serve(folder: &Path, address: &str, began: impl FnOnce(u16)) -> io::Result<()> {
    let tree = Tree::open(folder)?;
    let mut listener = NFSTcpListener::bind_with_generation(address, Files::new(tree), GENERATION).await?;
    listener.with_export_name(folder.to_string_lossy().as_ref());
    began(listener.get_listen_port());
    listener.handle_forever().await
}
