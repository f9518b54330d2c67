//! A door before a server that all tests share: the test that owns it may shut it, as a network would.

use super::process::free_port;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Passes connections on to one address while it is open; shut, it ends them all and takes no new ones.
pub(crate) struct Proxy {
    port: u16,
    is_open: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// An open one before `host:port`.
    pub(crate) async fn before(server: &str) -> Self {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let (is_open, opened) = watch::channel(true);
        Self { port, is_open, task: tokio::spawn(serve(listener, server.to_owned(), opened)) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn shut(&self) {
        self.is_open.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.is_open.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, server: String, opened: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        if *opened.borrow() {
            connections.spawn(pass(client, server.clone(), opened.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn pass(mut client: TcpStream, server: String, mut opened: watch::Receiver<bool>) {
    let Ok(mut behind) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut behind) => {}
        _ = opened.wait_for(|is_open| !is_open) => {}
    }
}
