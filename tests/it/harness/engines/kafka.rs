//! Apache Kafka brokers, each of them also a controller (KRaft).

use super::{Engine, Site, fill, java};
use crate::harness::process::free_port;
use std::path::Path;

const OPTIONS: &str = include_str!("../../../engines/kafka.java");
const PROPERTIES: &str = include_str!("../../../engines/kafka.properties");
/// Any 16 bytes in base64.
const CLUSTER_ID: &str = "Z29uZ2d1bW9hLXRlc3RzLQ";

/// A cluster of one or three brokers. Topics are made by those who need them: none comes by itself.
pub(crate) struct KafkaBrokers {
    brokers: Vec<Engine>,
    ports: Vec<u16>,
    _site: Site,
}

impl KafkaBrokers {
    /// A new cluster that serves; none without Kafka's programs.
    pub(crate) async fn start(count: usize) -> Option<Self> {
        let jars = java::jars("KAFKA_JARS", "kafka")?;
        let site = Site::new("kafka");
        let ports: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let controller_ports: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let voters: Vec<String> = controller_ports
            .iter()
            .enumerate()
            .map(|(index, port)| format!("{}@127.0.0.1:{port}", index + 1))
            .collect();
        let mut brokers = Vec::new();
        for index in 0..count {
            let name = format!("kafka-{}", index + 1);
            let folder = site.folder(&name);
            let options = fill(&folder, "kafka.java", OPTIONS, &[]);
            let values = [
                ("NODE", (index + 1).to_string()),
                ("VOTERS", voters.join(",")),
                ("PORT", ports[index].to_string()),
                ("CONTROLLER_PORT", controller_ports[index].to_string()),
                ("FACTOR", count.min(3).to_string()),
                ("MIN_ISR", if count < 3 { "1" } else { "2" }.to_owned()),
            ];
            let values: Vec<(&str, &str)> =
                values.iter().map(|(key, value)| (*key, value.as_str())).collect();
            let properties = fill(&folder, "kafka.properties", PROPERTIES, &values);
            let properties = properties.to_str().unwrap();
            format(&options, &jars, properties).await;
            let command = java::command(&options, &[&jars], "kafka.Kafka", &[properties]);
            brokers.push(Engine::new(&name, &folder, command));
        }
        let mut cluster = Self { brokers, ports, _site: site };
        // none is ready before a majority is there
        for broker in &mut cluster.brokers {
            broker.spawn();
        }
        for index in 0..count {
            cluster.ready(index).await;
        }
        Some(cluster)
    }

    /// Addresses of all, as clients want them, whether they are running or not.
    pub(crate) fn brokers(&self) -> String {
        let addresses: Vec<String> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        addresses.join(",")
    }

    /// kill -9.
    pub(crate) fn kill(&mut self, index: usize) {
        self.brokers[index].kill();
    }

    /// Starts a killed one on its data, and waits until it serves. A majority must be there.
    pub(crate) async fn restart(&mut self, index: usize) {
        self.brokers[index].spawn();
        self.ready(index).await;
    }

    /// Freezes one: it keeps its connections and answers nothing.
    pub(crate) fn pause(&self, index: usize) {
        self.brokers[index].pause();
    }

    pub(crate) fn resume(&self, index: usize) {
        self.brokers[index].resume();
    }

    async fn ready(&mut self, index: usize) {
        // it says so when the controllers have let it serve
        let said =
            async |log: &str| log.contains("Kafka Server started").then_some(()).ok_or_else(String::new);
        self.brokers[index].ready(said).await;
    }
}

/// Prepares a broker's empty folder.
async fn format(options: &Path, jars: &Path, properties: &str) {
    let arguments = ["format", "-t", CLUSTER_ID, "-c", properties];
    let command = java::command(options, &[jars], "kafka.tools.StorageTool", &arguments);
    let output = tokio::process::Command::new(&command[0]).args(&command[1..]).output().await.unwrap();
    assert!(output.status.success(), "Kafka's folder: {}", crate::harness::deployment::said(&output));
}
