//! What the client library says of itself: its log lines go to ours, its errors are counted and the last one
//! is kept, so that a question that no broker answered can tell why.

use super::error::{KafkaError, SASL};
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};

/// Takes what one client says.
#[derive(Debug)]
pub(super) struct Events {
    role: &'static str,
    last: Mutex<Option<(RDKafkaErrorCode, String)>>,
}

impl Events {
    /// For the client of this role.
    pub(super) fn new(role: &'static str) -> Self {
        Self { role, last: Mutex::new(None) }
    }

    /// Why nobody answered `question`, by what the client said meanwhile.
    pub(super) fn unanswered(&self, brokers: &str, question: &str, error: ClientError) -> KafkaError {
        let last = self.last.lock().clone();
        match last {
            Some((
                RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed,
                problem,
            )) => KafkaError::Denied { settings: SASL, problem },
            Some((RDKafkaErrorCode::SSL, problem)) => KafkaError::Denied {
                settings: "KAFKA_BROKERS and KAFKA_CLIENT's security.protocol and ssl.*",
                problem,
            },
            Some((_, problem)) => KafkaError::Unreachable { brokers: brokers.to_owned(), problem },
            None if super::error::retryable(&error) => {
                KafkaError::Unreachable { brokers: brokers.to_owned(), problem: error.to_string() }
            }
            None => KafkaError::client(question, error),
        }
    }
}

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let role = self.role;
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => {
                tracing::warn!(kafka.client = role, kafka.facility = facility, "{message}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(kafka.client = role, kafka.facility = facility, "{message}");
            }
            RDKafkaLogLevel::Debug => {
                tracing::debug!(kafka.client = role, kafka.facility = facility, "{message}");
            }
        }
    }

    fn error(&self, error: ClientError, reason: &str) {
        metrics::counter!("kafka_client_errors_total", "client" => self.role).increment(1);
        tracing::warn!(kafka.client = self.role, error = %error, kafka.reason = reason, "Kafka's client reports an error");
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut last = self.last.lock();
        // What was the matter with one broker says more than that none is left.
        if code != RDKafkaErrorCode::AllBrokersDown || last.is_none() {
            *last = Some((code, reason.to_owned()));
        }
    }
}

impl ConsumerContext for Events {}
