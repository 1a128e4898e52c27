//! Ports of this machine: whether one is free, and who holds it.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};

/// Who listens on a port that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// Nobody: it can be used.
    Free,
    /// A program, where its name can be read, for example `nginx (process 4711)`.
    Taken(Option<String>),
    /// It may not be used by this user, or cannot be tried; says why.
    Unusable(String),
}

/// Looks whether a TCP port of 127.0.0.1 can be listened on, by doing it for a moment.
pub fn look(port: u16) -> Port {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Port::Free,
        Err(error) if error.kind() == ErrorKind::AddrInUse => Port::Taken(holder(port)),
        Err(error) => Port::Unusable(error.to_string()),
    }
}

/// The program that listens on a port, as far as `/proc` shows it to this user.
fn holder(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let socket = format!("socket:[{}]", tables.iter().find_map(|table| listening_inode(table, port))?);
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        if files
            .flatten()
            .any(|file| fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == socket.as_str()))
        {
            let name = fs::read_to_string(process.path().join("comm")).ok()?;
            return Some(format!("{} (process {id})", name.trim()));
        }
    }
    None
}

/// The inode of the socket that listens on a port, in a table of the form of `/proc/net/tcp`.
fn listening_inode(table: &str, port: u16) -> Option<&str> {
    const LISTENING: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (_, local_port) = local.rsplit_once(':')?;
        (*state == LISTENING && u16::from_str_radix(local_port, 16) == Ok(port)).then_some(*inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_this_very_process() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let Port::Taken(holder) = look(listener.local_addr().unwrap().port()) else { panic!("the port is taken") };
        if cfg!(target_os = "linux") {
            let holder = holder.unwrap();
            assert!(holder.ends_with(&format!("(process {})", std::process::id())), "{holder}");
        }
    }

    #[test]
    fn only_a_listening_socket_counts() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 111 1 0\n\
             1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0\n";
        assert_eq!(listening_inode(table, 8080), Some("222"));
        assert_eq!(listening_inode(table, 8081), None);
    }
}
