//! Connections whose writes are gathered before they reach the kernel.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

/// A connection that does not offer vectored writes. Where they are offered, the HTTP/2 library hands each answer of more
/// than 256 bytes to the kernel by itself, and ours are a little longer; otherwise it copies answers of up to 1 KiB into
/// one buffer and writes all that are ready at once, which costs far less than a system call for each.
///
/// It tells services nothing of its peer: that is the proxy, and whose address counts is in the request.
#[derive(Debug)]
pub(super) struct Gathered<C>(pub(super) C);

impl<C> Connected for Gathered<C> {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl<C: AsyncRead + Unpin> AsyncRead for Gathered<C> {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(task, into)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Gathered<C> {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(task, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(task)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn vectored_writes_are_not_offered() {
        let (plain, _other) = UnixStream::pair().unwrap();
        assert!(plain.is_write_vectored(), "or nothing is gained");
        assert!(!Gathered(plain).is_write_vectored());
    }
}
