//! Listening sockets: bound early, so that a wrong address ends the start, and served later.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener, UnixSocket, UnixStream};

pub use crate::config::Address;

/// Who may connect to a Unix socket: its owner and its group, so that the proxy needs no more than the group.
const SOCKET_MODE: u32 = 0o660;

/// Connections that wait to be accepted on a Unix socket, as the standard library has it for TCP on Linux.
const BACKLOG: u32 = 4096;

/// Why an address could not be listened on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// The system says no.
    #[error("cannot listen on `{address}`: {kind}")]
    Io {
        /// The address asked for.
        address: Address,
        /// What the system says.
        kind: io::ErrorKind,
    },
    /// The path of a Unix socket is taken by a file that is none; it is left alone.
    #[error("cannot listen on `{address}`: the path exists and is not a socket")]
    NotASocket {
        /// The address asked for.
        address: Address,
    },
}

/// A listening socket. Connections queue from here on; nobody answers before [`serve`](super::serve).
#[derive(Debug)]
pub struct Bound {
    address: Address,
    pub(super) socket: Socket,
}

/// The two kinds of [`Bound`].
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl Bound {
    /// Listens on `address`. A Unix socket that nobody answers on any more is replaced.
    ///
    /// # Errors
    /// [`BindError`] if the address is in use, not allowed, or a path that is no socket.
    pub async fn bind(address: &Address) -> Result<Self, BindError> {
        let failed = |error: io::Error| BindError::Io { address: address.clone(), kind: error.kind() };
        match address {
            Address::Tcp(ip) => {
                let listener = TcpListener::bind(ip).await.map_err(failed)?;
                let address = Address::Tcp(listener.local_addr().map_err(failed)?);
                Ok(Self { address, socket: Socket::Tcp(listener) })
            }
            Address::Unix(path) => {
                if let Ok(found) = fs::symlink_metadata(path) {
                    if !found.file_type().is_socket() {
                        return Err(BindError::NotASocket { address: address.clone() });
                    }
                    remove_stale(path).await.map_err(failed)?;
                }
                let (listener, file) = listen_unix(path).map_err(failed)?;
                Ok(Self { address: address.clone(), socket: Socket::Unix(listener, file) })
            }
        }
    }

    /// The address that is listened on: with the port that the system chose, if 0 was asked for.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

/// Removes the socket at `path` if a connection is refused, which says that its process is gone.
async fn remove_stale(path: &Path) -> io::Result<()> {
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// The mode is set between `bind` and `listen`: until the second nobody can connect, whatever the umask is.
fn listen_unix(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    let file = SocketFile { path: path.to_owned(), identity: identity(&fs::symlink_metadata(path)?) };
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
    Ok((socket.listen(BACKLOG)?, file))
}

/// Removes the file of a Unix socket when dropped, unless a successor has put its own there.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the socket could not be removed");
        }
    }
}

/// Device and inode.
fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}
