//! What can go wrong with Kafka, in words that name the setting.

use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};

/// Why Kafka cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// A setting of ours, or of the client library, has a value that cannot be.
    #[error("{setting}={value} {problem}")]
    Setting {
        /// Its name.
        setting: String,
        /// Its value; not a secret's.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Nobody answers at the addresses given.
    #[error("KAFKA_BROKERS={brokers}: no broker answers ({problem})")]
    Unreachable {
        /// The addresses.
        brokers: String,
        /// What the client saw.
        problem: String,
    },
    /// The brokers do not let us in, or not do what we must.
    #[error("the brokers refuse us; look at {settings}: {problem}")]
    Denied {
        /// The settings that it hangs on.
        settings: &'static str,
        /// What the broker said.
        problem: String,
    },
    /// A topic is not as it must be.
    #[error("topic {topic}: {setting} is {found}, but must be {wanted}")]
    Topic {
        /// Which.
        topic: String,
        /// Its setting.
        setting: &'static str,
        /// As it is.
        found: String,
        /// As it must be.
        wanted: String,
    },
    /// Something else, while we were about to do this.
    #[error("{doing} failed")]
    Client {
        /// What.
        doing: String,
        /// The client's error.
        #[source]
        source: ClientError,
    },
    /// A partition has no leader at the moment: its brokers are away.
    #[error("topic {topic} has a partition without a leader")]
    NoLeader {
        /// The topic.
        topic: String,
    },
    /// The thread that Kafka's client needs could not be started.
    #[error("a thread could not be started")]
    Thread(#[source] std::io::Error),
}

impl KafkaError {
    /// Maps a client's error that came while doing this.
    pub(super) fn client(doing: impl Into<String>, source: ClientError) -> Self {
        if let ClientError::ClientConfig(_, problem, setting, _) = &source {
            return Self::Setting {
                setting: format!("KAFKA_CLIENT {setting}"),
                // It may be a password, whatever the setting's name.
                value: "(not shown)".to_owned(),
                problem: format!("is refused by the client: {problem}"),
            };
        }
        let doing = doing.into();
        match source.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed,
            ) => Self::Denied {
                settings: "the rights (ACLs) of KAFKA_CLIENT's sasl.username",
                problem: format!("{doing}: {source}"),
            },
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => {
                Self::Denied { settings: SASL, problem: format!("{doing}: {source}") }
            }
            _ => Self::Client { doing, source },
        }
    }

    /// Whether the same call may work later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NoLeader { .. } | Self::Thread(_) => true,
            Self::Setting { .. } | Self::Denied { .. } | Self::Topic { .. } => false,
            Self::Client { source, .. } => retryable(source),
        }
    }
}

/// Whether a broker says that it knows no such topic or partition: true for a moment of one that was just made.
pub(super) fn unknown(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let KafkaError::Client { source, .. } = error else { return false };
    matches!(
        source.rdkafka_error_code(),
        Some(
            Code::UnknownTopic
                | Code::UnknownPartition
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopicId
        )
    )
}

/// The settings by which we prove who we are.
pub(super) const SASL: &str =
    "KAFKA_CLIENT's security.protocol, sasl.mechanism, sasl.username and sasl.password";

/// Whether what the client says may pass by itself: no broker, no leader, no answer in time.
pub(super) fn retryable(error: &ClientError) -> bool {
    use RDKafkaErrorCode as Code;
    let Some(code) = error.rdkafka_error_code() else { return matches!(error, ClientError::Canceled) };
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::MessageTimedOut
            | Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::WaitingForCoordinator
            | Code::WaitCache
            | Code::InProgress
            | Code::PreviousInProgress
            | Code::QueueFull
            | Code::Retry
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::RequestTimedOut
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::NetworkException
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::NotController
            | Code::KafkaStorageError
            | Code::OffsetNotAvailable
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::ThrottlingQuotaExceeded
    )
}
