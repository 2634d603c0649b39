//! Certificates and keys of both ends of a simulated connection that is encrypted.

use super::Dice;
use crate::driver::tls::config::{Contexts, Start, server, server_name};
use crate::driver::tls::options::{ClientContext, TlsOptions, Version};
use crate::driver::tls::testing::{Authority, Dates};
use rustls::{ClientConfig, ServerConfig};
use std::sync::{Arc, OnceLock};

/// How both ends begin.
#[derive(Clone)]
pub struct Secrets {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Secrets {
    fn new(version: Version, is_ours: bool) -> Self {
        let authority = Authority::new("authority");
        let mut options = TlsOptions {
            ca: vec![authority.text()],
            max_version: version,
            ..TlsOptions::default()
        };
        if !is_ours {
            options.alpn.clear();
        }
        let context = ClientContext {
            options: options.clone(),
            ..ClientContext::default()
        };
        options.identities = vec![authority.issue(&["localhost"], Dates::Now).text()];
        Self {
            client: Contexts::default().get(&context).expect("valid"),
            server: server(&options, &Arc::default()).expect("valid"),
        }
    }

    /// One of few. `may_agree` says whether both ends may agree on QMux by the handshake.
    pub fn pick(dice: &Dice, may_agree: bool) -> &'static Self {
        static ALL: OnceLock<[Secrets; 4]> = OnceLock::new();
        let all = ALL.get_or_init(|| {
            let new = |(version, is_ours)| Self::new(version, is_ours);
            [
                (Version::Tls13, true),
                (Version::Tls13, false),
                (Version::Tls12, true),
                (Version::Tls12, false),
            ]
            .map(new)
        });
        let version = dice.pick(&[0, 0, 0, 2]);
        &all[version + usize::from(!may_agree || dice.once_in(3))]
    }

    /// How a side begins.
    pub fn start(&self, side: usize) -> Start {
        match side {
            0 => Start::Client(
                self.client.clone(),
                server_name("localhost").expect("valid"),
            ),
            _ => Start::Server(self.server.clone()),
        }
    }
}
