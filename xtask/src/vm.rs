//! Boots Debian's kernel in qemu, with the host's files read-only below a writable layer, and runs programs there.
//!
//! No privilege, no KVM and nothing installed in the guest: test executables built on the host run unchanged.

mod initramfs;
mod kernel;
mod serial;

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow, bail, ensure};

use serial::{Piece, Splitter};

/// One program to run in the guest.
pub(crate) struct Job {
    /// What messages call it.
    pub(crate) name: String,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// The working directory, a path of the host.
    pub(crate) directory: PathBuf,
    /// Set in its environment.
    pub(crate) environment: Vec<(String, String)>,
    /// The guest is stopped when the job takes longer.
    pub(crate) limit: Duration,
}

/// How a job ended.
pub(crate) struct Outcome {
    /// The exit status; 128 + signal when a signal ended it.
    pub(crate) status: i32,
    /// Everything that it printed.
    pub(crate) output: Vec<u8>,
    /// From its start to its end.
    pub(crate) took: Duration,
}

/// What became of the jobs: those that ended, in order, and why the others did not run.
pub(crate) struct Report {
    /// As many as ended; the rest was not run when there is a `failure`.
    pub(crate) outcomes: Vec<Outcome>,
    /// The guest died, hung or did not boot.
    pub(crate) failure: Option<anyhow::Error>,
}

/// The machine.
pub(crate) struct Machine {
    /// Memory in MiB; it also holds every file that the guest writes.
    pub(crate) memory: u32,
    /// The guest's clock counts instructions, one a nanosecond, instead of time. What is measured there is then the same
    /// however busy this machine is; it says nothing of what instructions cost.
    pub(crate) instructions: bool,
}

impl Default for Machine {
    fn default() -> Machine {
        Machine { memory: 2048, instructions: false }
    }
}

impl Machine {
    /// Boots, runs the jobs one after another and copies what they print to standard output as it comes.
    pub(crate) fn run(&self, jobs: &[Job]) -> Result<Report> {
        ensure!(
            std::env::consts::ARCH == "x86_64",
            "the test VM needs an x86_64 host, this is {}",
            std::env::consts::ARCH
        );
        let home = crate::target_directory()?.join("vm");
        fs::create_dir_all(&home).with_context(|| format!("create {}", home.display()))?;
        let kernel = kernel::prepare(&home)?;
        let directory = RunDirectory::create(&home)?;
        directory.write_jobs(jobs)?;
        let image = directory.path.join("initramfs");
        let modules = kernel.modules_for(&MODULES)?;
        initramfs::write(&image, &tool("busybox")?, &kernel.modules, &modules)?;

        let mut guest = Guest::start(&mut self.qemu(&kernel, &directory, &image)?)?;
        let mut outcomes = Vec::new();
        let failure = guest
            .follow(jobs, &directory.word, &mut outcomes)
            .map_err(|error| match directory.console_tail() {
                Some(tail) => anyhow!("{error}; the guest's last console lines:\n{tail}"),
                None => error,
            })
            .err();
        Ok(Report { outcomes, failure })
    }

    fn qemu(&self, kernel: &kernel::Kernel, directory: &RunDirectory, initramfs: &Path) -> Result<Command> {
        // setpriv: the guest must not outlive this process, however it ends.
        let mut command = Command::new(tool("setpriv")?);
        command.args(["--pdeathsig", "KILL", "--"]).arg(tool("qemu-system-x86_64")?);
        // TCG, always: /dev/kvm can be there and still hang. One processor: with two, each emulated by a thread, every
        // other boot ended with one of them spinning on a kernel lock for ever; and one is not slower.
        command.args(["-accel", "tcg", "-smp", "1", "-machine", "q35", "-cpu", "max"]);
        if self.instructions {
            command.args(["-icount", "shift=0,sleep=off"]);
        }
        command.args(["-m", &self.memory.to_string()]);
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initramfs);
        command.args(["-append", KERNEL_COMMAND_LINE]);
        let console = format!("file,id=console,path={}", escaped(&directory.console())?);
        command.args(["-chardev", &console, "-serial", "chardev:console"]);
        command.args(["-chardev", "stdio,id=jobs,signal=off", "-serial", "chardev:jobs"]);
        share(&mut command, "host", Path::new("/"), true)?;
        share(&mut command, "modules", &kernel.modules, true)?;
        share(&mut command, "run", &directory.path, false)?;
        Ok(command)
    }
}

/// A running qemu; dropped, it is killed.
struct Guest {
    process: Child,
    line: mpsc::Receiver<Vec<u8>>,
}

impl Guest {
    fn start(command: &mut Command) -> Result<Guest> {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {:?}", command.get_program()))?;
        let mut output = process.stdout.take().context("qemu has no output")?;
        let (sender, line) = mpsc::channel();
        // Ends when qemu ends.
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Guest { process, line })
    }

    fn follow(&mut self, jobs: &[Job], word: &str, outcomes: &mut Vec<Outcome>) -> Result<()> {
        let mut splitter = Splitter::new(word);
        let mut stdout = std::io::stdout().lock();
        let mut since = Instant::now();
        let mut deadline = since + BOOT_LIMIT;
        let mut running: Option<&Job> = None;
        let mut output = Vec::new();
        say("booting the test VM");
        loop {
            let bytes = match self.line.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => bytes,
                Err(RecvTimeoutError::Timeout) => match running {
                    Some(job) => bail!("{} did not end within {:?}", job.name, job.limit),
                    None => bail!("the guest was not up within {BOOT_LIMIT:?}"),
                },
                Err(RecvTimeoutError::Disconnected) => match running {
                    Some(job) => bail!("the guest died during {}", job.name),
                    None => bail!("the guest died outside of any job"),
                },
            };
            for piece in splitter.handle(&bytes) {
                match piece {
                    Piece::Up => say(&format!("up after {:.1} s", since.elapsed().as_secs_f64())),
                    Piece::Begin(number) => {
                        let job = jobs.get(number).context("the guest began a job that does not exist")?;
                        if jobs.len() > 1 {
                            writeln!(stdout, "\n-- {}", job.name).context("print the output")?;
                        }
                        since = Instant::now();
                        deadline = since + job.limit;
                        running = Some(job);
                        output = Vec::new();
                    }
                    Piece::End(number, status) => {
                        ensure!(number == outcomes.len(), "the guest ended job {number} out of order");
                        let output = std::mem::take(&mut output);
                        outcomes.push(Outcome { status, output, took: since.elapsed() });
                        running = None;
                        deadline = Instant::now() + BOOT_LIMIT;
                    }
                    Piece::Done => {
                        ensure!(outcomes.len() == jobs.len(), "the guest left jobs out");
                        return Ok(());
                    }
                    Piece::Output(bytes) => {
                        stdout.write_all(&bytes).and_then(|()| stdout.flush()).context("print the output")?;
                        output.extend(bytes);
                    }
                }
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Nothing in the guest is worth an orderly end: its files are in its memory.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the guest and this process share: jobs in, the kernel's messages out. Removed when dropped.
struct RunDirectory {
    path: PathBuf,
    word: String,
}

impl RunDirectory {
    fn create(home: &Path) -> Result<RunDirectory> {
        remove_abandoned(home);
        let process = std::process::id();
        let path = home.join(format!("run.{process}"));
        fs::create_dir(&path).with_context(|| format!("create {}", path.display()))?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(RunDirectory { path, word: format!("vm{process:x}{:x}", now.as_nanos()) })
    }

    fn write_jobs(&self, jobs: &[Job]) -> Result<()> {
        self.write("guest.sh", include_str!("vm/guest.sh"))?;
        self.write("mark", &format!("{}\n", self.word))?;
        for (number, job) in jobs.iter().enumerate() {
            let mut script = format!("cd {} || exit 126\n", quoted(&job.directory.to_string_lossy()));
            for (name, value) in &job.environment {
                script.push_str(&format!("export {name}={}\n", quoted(value)));
            }
            let words: Vec<String> = job.command.iter().map(|word| quoted(word)).collect();
            script.push_str(&format!("exec {}\n", words.join(" ")));
            self.write(&format!("job.{number}"), &script)?;
        }
        Ok(())
    }

    fn write(&self, name: &str, content: &str) -> Result<()> {
        let path = self.path.join(name);
        fs::write(&path, content).with_context(|| format!("write {}", path.display()))
    }

    fn console(&self) -> PathBuf {
        self.path.join("console")
    }

    fn console_tail(&self) -> Option<String> {
        let bytes = fs::read(self.console()).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(30)..];
        (!tail.is_empty()).then(|| tail.join("\n"))
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes what killed runs left.
fn remove_abandoned(home: &Path) {
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((_, process)) = name.split_once('.') else { continue };
        if process.parse::<u32>().is_ok() && !Path::new("/proc").join(process).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Shares a directory of the host; `tag` is what the guest mounts.
fn share(command: &mut Command, tag: &str, path: &Path, readonly: bool) -> Result<()> {
    let path = escaped(path)?;
    let readonly = if readonly { ",readonly=on" } else { "" };
    command.args([
        "-fsdev",
        &format!("local,id={tag},path={path},security_model=none,multidevs=remap{readonly}"),
    ]);
    command.args(["-device", &format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}")]);
    Ok(())
}

/// A path as a value of a qemu option: a comma is doubled.
fn escaped(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(text.replace(',', ",,"))
}

/// A word as the shell reads it back.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Finds a program, also where the search path of an ordinary user does not look.
pub(crate) fn tool(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|directory| directory.join(OsStr::new(name)))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("{name} is not installed: `cargo xtask test` lists what is needed"))
}

/// Whether this process may install packages.
pub(crate) fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
    })
}

fn say(what: &str) {
    eprintln!("vm: {what}");
}

/// Loaded before the first job: what reaches the host's files, and IPVS. The kernel loads others when they are needed.
/// crc32c_generic is what libcrc32c, which IPVS depends on, asks for without saying so in modules.dep. The two schedulers
/// have a part for each namespace: loaded on demand, under IPVS's mutex, they wait for the end of every namespace that
/// goes away, and that waits for the mutex (`cleanup_net`, `ip_vs_scheduler_get`): the kernel stands still for ever.
const MODULES: [&str; 8] =
    ["virtio_pci", "9pnet_virtio", "9p", "overlay", "crc32c_generic", "ip_vs", "ip_vs_lblc", "ip_vs_lblcr"];

/// `rcu_expedited`: without it every removed interface costs a grace period, which is long on an emulated machine.
const KERNEL_COMMAND_LINE: &str = "console=ttyS0 quiet panic=-1 oops=panic mitigations=off nokaslr audit=0 lsm= \
     tsc=reliable cryptomgr.notests random.trust_cpu=on rcupdate.rcu_expedited=1 net.ifnames=0 rdinit=/init";

/// Far more than a boot takes, also on a busy machine.
const BOOT_LIMIT: Duration = Duration::from_secs(180);
