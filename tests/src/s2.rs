//! The network of scenario S2: two balancers, two web servers and a client on one segment.

use std::time::Duration;

use crate::address::Mac;
use crate::host::{Host, Segment};
use crate::http;
use crate::peers::{self, WebServer};

/// The virtual address.
pub const VIP: &str = "10.5.0.100";

/// The page of the virtual service.
pub const URL: &str = "http://10.5.0.100/";

/// The page that the health checks fetch.
pub const HEALTH_PAGE: &str = "/healthchk.html";

/// Addresses of the two balancers, the master's first.
pub const BALANCERS: [&str; 2] = ["10.5.0.133", "10.5.0.195"];

/// Addresses of the two real servers.
pub const SERVERS: [&str; 2] = ["10.5.0.36", "10.5.0.229"];

/// What `ipvsadm -Ln` prints on both balancers when both servers serve.
pub const FULL_TABLE: &str = "\
TCP  10.5.0.100:80 rr
  -> 10.5.0.36:80                 Route   1      0          0         \n  -> 10.5.0.229:80                Route   1      0          0         \n";

/// All hosts of the scenario; the web servers run.
#[derive(Debug)]
pub struct S2 {
    /// Fetches the page.
    pub client: Host,
    /// The balancers; nothing runs on them yet.
    pub balancers: [Host; 2],
    /// The web servers; each says its address on the page `/`.
    pub servers: [(WebServer, Host); 2],
    _segment: Segment,
}

impl S2 {
    /// Builds the network and starts the web servers.
    #[track_caller]
    pub fn new() -> Self {
        let segment = Segment::new();
        let host = |name: &str, address: &str| {
            let host = Host::new(name);
            host.connect(&segment, "eth0", &format!("{address}/21"));
            host
        };
        let servers = SERVERS.map(|address| {
            let host = host(&format!("server-{address}"), address);
            host.accept_address(VIP);
            let server = peers::nginx(&host, address);
            server.write_page(HEALTH_PAGE, "fine");
            (server, host)
        });
        Self {
            client: host("client", "10.5.0.10"),
            balancers: [host("lb", BALANCERS[0]), host("lb-backup", BALANCERS[1])],
            servers,
            _segment: segment,
        }
    }

    /// Fetches the page as the client; which server answered, or why none did.
    pub fn fetch(&self, limit: Duration) -> Result<String, String> {
        let answer = http::get(&self.client, URL, limit).map_err(|error| error.to_string())?;
        if answer.status == 200 { Ok(answer.body) } else { Err(format!("status {}", answer.status)) }
    }

    /// Which balancers have the virtual address.
    #[must_use]
    pub fn owners(&self) -> [bool; 2] {
        [0, 1].map(|index: usize| self.balancers[index].has_address("eth0", VIP))
    }

    /// The MAC address that the client believes the virtual address to have.
    #[must_use]
    pub fn clients_view(&self) -> Option<Mac> {
        self.client.neighbour(VIP)
    }

    /// What `ipvsadm -Ln` prints on a balancer, without the header and the connection counts.
    ///
    /// # Errors
    /// What ipvsadm complained about.
    pub fn table(&self, balancer: usize) -> Result<String, String> {
        let printed = peers::ipvsadm(&self.balancers[balancer], "-Ln")?;
        Ok(printed.lines().skip(3).map(without_connections).collect())
    }
}

impl Default for S2 {
    fn default() -> Self {
        Self::new()
    }
}

/// The line of a destination with its last two columns, the connection counts, set to zero.
fn without_connections(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["->", server, method, weight, _, _] => {
            format!("  -> {server:<28} {method:<7} {weight:<6} {:<10} {:<10}\n", 0, 0)
        }
        _ => format!("{}\n", line.trim_end()),
    }
}

/// The configuration of S2 for a balancer with this priority, comments in Japanese and all.
#[must_use]
pub fn config(priority: u16) -> String {
    let servers: String = SERVERS.iter().map(|address| real_server(address)).collect();
    format!(
        "! Configuration File for keepalived

vrrp_instance VI_1 {{
    state MASTER                # 両系とも MASTER とする
    interface eth0
    virtual_router_id 1
    priority {priority}                # 値が大きい方がマスターになる
    advert_int 1
    virtual_ipaddress {{
        {VIP} dev eth0     # 仮想IPアドレス
    }}
}}

# 仮想サーバーの設定
virtual_server {VIP} 80 {{
    delay_loop 3                # ヘルスチェックの間隔（秒）
    lb_algo rr                  ! ラウンドロビン
    lb_kind DR
    protocol TCP
{servers}}}
"
    )
}

fn real_server(address: &str) -> String {
    format!(
        "
    real_server {address} 80 {{
        weight 1
        inhibit_on_failure      # 障害時は重みを0にする
        HTTP_GET {{
            url {{
                path {HEALTH_PAGE}
                status_code 200
            }}
            connect_timeout 3
            delay_before_retry 7
        }}
    }}
"
    )
}
