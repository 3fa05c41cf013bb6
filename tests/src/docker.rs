//! The Docker Engine as the suites see it.

use std::{
    collections::HashMap,
    process::Command,
    time::{Duration, Instant},
};

use bollard::{Docker, query_parameters::ListContainersOptions};
use serde_json::Value;

use crate::required;

/// Opens nothing. Where it turns up, a secret would have turned up.
pub const CANARY: &str = "sk-ant-canary-4f9a1c7e2b8d";

pub fn connect() -> Docker {
    Docker::connect_with_host(&required("DOCKER_HOST")).unwrap()
}

/// `docker inspect` of every container of a data directory.
pub async fn inspect_all(instance: &str) -> Vec<Value> {
    let docker = connect().negotiate_version().await.unwrap();
    let filters = HashMap::from([("label".to_owned(), vec![format!("mercury.instance={instance}")])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let mut found = Vec::new();
    for container in docker.list_containers(Some(options)).await.unwrap() {
        // A host proves its runtime at start by a container that is no run's.
        let run = container.labels.as_ref().and_then(|labels| labels.get("mercury.run"));
        if run.is_some_and(|run| run.starts_with("probe-")) {
            continue;
        }
        if let Ok(inspected) = docker.inspect_container(&container.id.unwrap(), None).await {
            found.push(serde_json::to_value(inspected).unwrap());
        }
    }
    found
}

/// This machine's address on a network of the engine.
pub async fn gateway(network: &str) -> String {
    let docker = connect().negotiate_version().await.unwrap();
    let found = serde_json::to_value(docker.inspect_network(network, None).await.unwrap()).unwrap();
    let config = &found["IPAM"]["Config"][0];
    if let Some(gateway) = config["Gateway"].as_str() {
        return gateway.to_owned();
    }
    // Of its default bridge an engine names none in its first life; it is the subnet's first address.
    let subnet = config["Subnet"].as_str().expect("a subnet");
    let base: std::net::Ipv4Addr = subnet.split('/').next().unwrap().parse().unwrap();
    std::net::Ipv4Addr::from(u32::from(base) + 1).to_string()
}

/// A network of the suite's own, removed when it is dropped.
pub struct Network {
    pub name: String,
}

impl Network {
    pub fn create() -> Self {
        let name = format!("mercury-test-{}-{:x}", std::process::id(), rand_suffix());
        let made = Command::new("docker").args(["network", "create", &name]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { name }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["network", "rm", &self.name]).output();
    }
}

fn rand_suffix() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos()
}

/// Waits until `count` containers of runs are at work: Docker says that they run.
pub async fn at_work(instance: &str, count: usize) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let running = inspect_all(instance).await.iter().filter(|found| found["State"]["Running"] == true).count();
        if running >= count {
            return;
        }
        assert!(Instant::now() < until, "{running} of {count} containers are at work");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Kills the container of a run from outside, as soon as it is at work.
pub async fn kill_all(instance: &str) {
    at_work(instance, 1).await;
    let docker = connect().negotiate_version().await.unwrap();
    for container in inspect_all(instance).await {
        let _ = docker.kill_container(container["Id"].as_str().unwrap(), None).await;
    }
}

/// Stops the processes of a run's container where they are, or lets them go on.
pub async fn pause_all(instance: &str, pause: bool) {
    let docker = connect().negotiate_version().await.unwrap();
    for container in inspect_all(instance).await {
        let id = container["Id"].as_str().unwrap();
        if pause {
            docker.pause_container(id).await.unwrap();
        } else {
            docker.unpause_container(id).await.unwrap();
        }
    }
}

/// Removes what a suite left. From `drop`, so without a runtime: by the client program.
pub fn remove_all(instance: &str) {
    let filter = format!("label=mercury.instance={instance}");
    let Ok(listed) = Command::new("docker").args(["ps", "-aq", "--filter", &filter]).output() else { return };
    let ids = String::from_utf8_lossy(&listed.stdout);
    let ids: Vec<&str> = ids.split_whitespace().collect();
    if !ids.is_empty() {
        let _ = Command::new("docker").args(["rm", "-f"]).args(ids).output();
    }
}

/// Whether the engine has gVisor. The suites insist on it, since the product promises it.
pub async fn require_runsc() {
    let docker = connect().negotiate_version().await.unwrap();
    let runtimes = docker.info().await.unwrap().runtimes.unwrap_or_default();
    assert!(runtimes.contains_key("runsc"), "the engine has no runsc; `./dev engine` makes one that has");
}
