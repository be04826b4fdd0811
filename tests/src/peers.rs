//! The outside parties: Debian's keepalived, FRR, ipvsadm, nginx, vsftpd and curl, and the `lvsd` under test.

mod frr;
mod ftp;

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::host::Host;
use crate::http;
use crate::poll::poll_until;
use crate::process::Process;

pub use frr::{Frr, FrrRouter, frr};
pub use ftp::{curl, vsftpd};

/// Starts Debian's keepalived in the foreground with this configuration; it logs in detail to [`Process::log`].
/// Several can run at once, also on one host.
#[track_caller]
pub fn keepalived(host: &Host, config: &str) -> Process {
    let name = unique("keepalived");
    let file = host.write_file(&format!("{name}.conf"), config);
    let pid = |which: &str| host.directory().join(format!("{name}.{which}.pid"));
    let mut command = host.command("keepalived");
    command.args(["--dont-fork", "--log-console", "--log-detail", "--use-file", &file]);
    command.arg("--pid").arg(pid("parent")).arg("--vrrp_pid").arg(pid("vrrp"));
    command.arg("--checkers_pid").arg(pid("checkers"));
    host.spawn(&mut command)
}

/// Starts the `lvsd` under test in the foreground with this configuration and further arguments; it logs to
/// [`Process::log`]. The program is `$LVSD_BIN` or the one that cargo built beside this test.
#[track_caller]
pub fn lvsd(host: &Host, config: &str, arguments: &[&str]) -> Process {
    let name = unique("lvsd");
    let file = host.write_file(&format!("{name}.conf"), config);
    let program = lvsd_program();
    let mut command = host.command(&program.to_string_lossy());
    command.args(["-n", "-l", "-D", "-f", &file]).arg("-p").arg(host.directory().join(format!("{name}.pid")));
    host.spawn(command.args(arguments))
}

/// Where the `lvsd` under test lies.
#[track_caller]
pub fn lvsd_program() -> PathBuf {
    if let Some(path) = std::env::var_os("LVSD_BIN") {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "LVSD_BIN is {}, which does not exist", path.display());
        return path;
    }
    built_program("lvsd", "lvsd")
}

/// Where cargo put a program of this workspace when it built `package` for these tests.
#[track_caller]
pub fn built_program(package: &str, program: &str) -> PathBuf {
    // A test lies in TARGET/PROFILE/deps.
    let test = std::env::current_exe().unwrap_or_else(|error| panic!("the path of this test: {error}"));
    let path = test.ancestors().nth(2).unwrap_or(Path::new(".")).join(program);
    assert!(path.is_file(), "{} does not exist: run `cargo build -p {package}` first", path.display());
    path
}

/// Runs `ipvsadm` with these arguments (`"-A -t 10.5.0.100:80 -s rr"`); returns what it printed, or why it failed.
pub fn ipvsadm(host: &Host, arguments: &str) -> Result<String, String> {
    host.output(host.command("ipvsadm").args(arguments.split_whitespace()))
}

/// A real web server; its pages are files that a test may change at any time.
#[derive(Debug)]
pub struct WebServer {
    process: Process,
    root: PathBuf,
}

/// Starts nginx on port 80 of all addresses of `host`. Its page `/` is `index`.
///
/// ```no_run
/// # use lvs_tests::{Host, http, peers};
/// # use std::time::Duration;
/// # let host = Host::new("server");
/// let server = peers::nginx(&host, "server 1");
/// server.write_page("/healthchk.html", "fine");
/// let answer = http::get(&host, "http://127.0.0.1/healthchk.html", Duration::from_secs(5));
/// ```
#[track_caller]
pub fn nginx(host: &Host, index: &str) -> WebServer {
    nginx_on(host, 80, index)
}

/// Starts nginx on another port.
#[track_caller]
pub fn nginx_on(host: &Host, port: u16, index: &str) -> WebServer {
    let name = unique("nginx");
    let home = host.directory().join(&name);
    let root = home.join("pages");
    fs::create_dir_all(&root).unwrap_or_else(|error| panic!("create {}: {error}", root.display()));
    let config = NGINX_CONFIG.replace("HOME", &home.to_string_lossy()).replace("PORT", &port.to_string());
    let file = host.write_file(&format!("{name}.conf"), &config);
    let mut command = host.command("nginx");
    command.arg("-p").arg(&home).args(["-e", "stderr", "-c", &file]);
    let server = WebServer { process: host.spawn(&mut command), root };
    server.write_page("/index.html", index);
    poll_until(Duration::from_secs(30), &format!("nginx on {} answers", host.name()), || {
        match http::get(host, &format!("http://127.0.0.1:{port}/"), Duration::from_secs(10)) {
            Ok(answer) if answer.body == index => Ok(()),
            Ok(answer) => Err(format!("{answer:?}")),
            Err(error) => Err(format!("{error}; its log:\n{}", server.log())),
        }
    });
    server
}

impl WebServer {
    /// Writes the page `path` (`"/healthchk.html"`); it is answered with status 200.
    #[track_caller]
    pub fn write_page(&self, path: &str, content: &str) {
        let file = self.file(path);
        // In one step: a page is never seen half written.
        let new = file.with_extension("new");
        let written = fs::write(&new, content).and_then(|()| fs::rename(&new, &file));
        written.unwrap_or_else(|error| panic!("write {}: {error}", file.display()));
    }

    /// Removes the page `path`; it is answered with status 404.
    #[track_caller]
    pub fn remove_page(&self, path: &str) {
        let file = self.file(path);
        fs::remove_file(&file).unwrap_or_else(|error| panic!("remove {}: {error}", file.display()));
    }

    fn file(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

impl Deref for WebServer {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}.{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// One process, so that nothing of it can outlive the test; no cache of files, so that a changed page counts at once.
/// Root, since a user namespace may hold no other user.
const NGINX_CONFIG: &str = "
daemon off;
user root;
master_process off;
pid HOME/pid;
error_log stderr info;
events { worker_connections 512; }
http {
    default_type text/html;
    access_log HOME/access.log;
    client_body_temp_path HOME/body;
    proxy_temp_path HOME/proxy;
    fastcgi_temp_path HOME/fastcgi;
    uwsgi_temp_path HOME/uwsgi;
    scgi_temp_path HOME/scgi;
    keepalive_timeout 0;
    open_file_cache off;
    server {
        listen 0.0.0.0:PORT;
        listen [::]:PORT ipv6only=on;
        root HOME/pages;
    }
}
";
