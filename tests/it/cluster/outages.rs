//! Promise 6 in cluster form: PostgreSQL, Redis or Kafka away. Buyers notice nothing, and all catches up by
//! itself.

use super::{Loads, some_gonggus};
use crate::harness::books::{Proof, balance};
use crate::harness::engines::{KafkaBrokers, RedisServer};
use crate::harness::proxy::Proxy;
use crate::harness::{Api, Cluster, Servers, Visitor};
use reqwest::StatusCode;
use url::Url;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buyers_notice_nothing_of_servers_that_are_away_and_all_catches_up() {
    let Some(mut servers) = Servers::shared() else { return };
    let (Some(mut redis), Some(kafka)) = (RedisServer::start().await, KafkaBrokers::start(1).await) else {
        return;
    };
    servers.brokers = kafka.brokers();
    servers.redis_url = redis.url().to_owned();
    let mut cluster = Cluster::new(servers).await;
    let mut url = Url::parse(&cluster.database_url).unwrap();
    let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
    let postgres = Proxy::before(&server).await;
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(postgres.port())).unwrap();
    cluster.set("DATABASE_URL", url.as_str());
    cluster.start(&["edge-1", "judge-1", "api-1"]).await;
    let admin = cluster.admin_at("api-1").await;
    let gonggus = some_gonggus(&admin).await;
    let load = Loads::start(&cluster, &["edge-1"], &gonggus);
    load.more_given(200).await;

    kafka.pause(0);
    load.more_given(400).await;
    kafka.resume(0);
    load.more_given(100).await;

    redis.kill();
    load.more_given(100).await;
    // figures are the store's; what is shared by Redis is only sooner
    admin.stats(gonggus[0]).await;
    redis.restart().await;
    load.more_given(100).await;

    postgres.shut();
    load.more_given(300).await;
    cluster.get_mut("edge-1").stop().await;
    cluster.restart("edge-1");
    load.more_given(200).await;
    let visitor = Visitor::new();
    let answer = visitor.go(&Api::new(cluster.get("edge-1")), gonggus[1]).await;
    assert_eq!(answer.status, StatusCode::FOUND, "a start from the links' snapshot");
    let own = (answer.click_id().unwrap(), gonggus[1]);
    postgres.open();
    cluster.get_mut("edge-1").ready().await;
    load.more_given(100).await;

    let (mut given, sent) = load.stop().await;
    given.push(own);
    let stored = balance(&mut cluster, "api-1", &gonggus, &given, sent + 1).await;
    cluster.stop_all("judge").await;
    Proof::of(&cluster).await.holds(stored.len()).await;
}
