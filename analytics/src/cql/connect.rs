//! A session with the cluster, as the settings say.

use super::config::{CqlConfig, CqlTls};
use super::error::{CqlError, session_error};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::statement::{Consistency, SerialConsistency};
use std::sync::Arc;
use std::time::Duration;

/// A node that does not take a connection in so long does not count as there.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// Replicas asked beside the first one, at most.
const SPECULATIVE_MAX: usize = 2;

/// Reads and writes wait for a majority, so that each read sees each write before it.
fn quorum(config: &CqlConfig) -> Consistency {
    if config.local_datacenter.is_some() { Consistency::LocalQuorum } else { Consistency::Quorum }
}

fn serial(config: &CqlConfig) -> SerialConsistency {
    if config.local_datacenter.is_some() { SerialConsistency::LocalSerial } else { SerialConsistency::Serial }
}

/// The consistency of a read that must see what a compare-and-set did, one that timed out included.
pub(crate) fn serial_read(config: &CqlConfig) -> Consistency {
    if config.local_datacenter.is_some() { Consistency::LocalSerial } else { Consistency::Serial }
}

/// Connects. No keyspace is used: every statement names its own, and a missing one can be made.
pub(crate) async fn session(config: &CqlConfig) -> Result<Session, CqlError> {
    config.check()?;
    let mut policy = DefaultPolicy::builder().token_aware(true);
    if let Some(name) = &config.local_datacenter {
        policy = policy.prefer_datacenter(name.clone());
    }
    let mut profile = ExecutionProfile::builder()
        .consistency(quorum(config))
        .serial_consistency(Some(serial(config)))
        .request_timeout(Some(config.request_timeout))
        .load_balancing_policy(policy.build());
    if let Some(after) = config.speculative_after {
        profile = profile.speculative_execution_policy(Some(Arc::new(SimpleSpeculativeExecutionPolicy {
            max_retry_count: SPECULATIVE_MAX,
            retry_interval: after,
        })));
    }
    let mut builder = SessionBuilder::new()
        .known_nodes(&config.nodes)
        .connection_timeout(CONNECTION_TIMEOUT)
        .default_execution_profile_handle(profile.build().into_handle());
    if let Some((user, password)) = &config.credentials {
        builder = builder.user(user, password);
    }
    if let Some(tls) = &config.tls {
        builder = builder.tls_context(Some(client_config(tls)?));
    }
    let session = builder.build().await.map_err(|error| session_error(config, error))?;
    check_datacenter(config, &session)?;
    Ok(session)
}

/// Nodes that rows are spread over.
pub(crate) fn nodes_count(config: &CqlConfig, session: &Session) -> usize {
    let state = session.get_cluster_state();
    let inside = state.get_nodes_info().iter().filter(|node| {
        config.local_datacenter.is_none() || node.datacenter.as_deref() == config.local_datacenter.as_deref()
    });
    inside.count()
}

/// A datacenter that is none would leave every request without a node to go to.
fn check_datacenter(config: &CqlConfig, session: &Session) -> Result<(), CqlError> {
    let Some(name) = &config.local_datacenter else { return Ok(()) };
    if nodes_count(config, session) > 0 {
        return Ok(());
    }
    let state = session.get_cluster_state();
    let mut known: Vec<&str> =
        state.get_nodes_info().iter().filter_map(|node| node.datacenter.as_deref()).collect();
    known.sort_unstable();
    known.dedup();
    Err(CqlError::Setting {
        setting: "SCYLLA_DATACENTER",
        value: name.clone(),
        problem: format!("is none of the cluster's datacenters ({})", known.join(", ")),
        passing: false,
    })
}

fn client_config(tls: &CqlTls) -> Result<Arc<ClientConfig>, CqlError> {
    let mut roots = RootCertStore::empty();
    match &tls.ca_file {
        Some(path) => {
            let unreadable = |problem: String| CqlError::Setting {
                setting: "SCYLLA_TLS",
                value: path.display().to_string(),
                problem,
                passing: false,
            };
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| unreadable(format!("cannot be read as PEM: {error}")))?;
            let (added, _) = roots.add_parsable_certificates(certificates);
            if added == 0 {
                return Err(unreadable("holds no certificate".into()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    // The provider is named, since the process may have set none.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| CqlError::Refused(Box::new(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
