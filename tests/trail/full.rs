//! File systems that are full or can only be read, as the system has them: that takes the right to mount.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::json;

use super::callers::{Callers, Load, Told};
use super::{RECOVERY, Trail, recoveries, soak, trail_files, until, verifies};
use crate::cli::support::{Files, Serving, question};

const CALLERS: usize = 2;
const PER_SECOND: u32 = 200;

/// What the file system holds first, and what is added each time that it is full.
const ROOM_KIB: usize = 64;

/// Whether the command did what it is for.
fn done(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// File systems one over the other, gone at the end.
struct Mounted {
    at: PathBuf,
    count: usize,
}

impl Mounted {
    /// `None` where nothing can be mounted, which is said.
    fn new(at: PathBuf, arguments: &[&str]) -> Option<Self> {
        std::fs::create_dir(&at).unwrap();
        let mut mounted = Self { at, count: 0 };
        if mounted.add(arguments) {
            return Some(mounted);
        }
        eprintln!("skipped: nothing can be mounted here");
        None
    }

    fn add(&mut self, arguments: &[&str]) -> bool {
        let added = done("mount", &[arguments, &[self.at.to_str().unwrap()]].concat());
        self.count += usize::from(added);
        added
    }

    fn resize(&self, kib: usize) {
        assert!(done("mount", &["-o", &format!("remount,size={kib}k"), self.at.to_str().unwrap()]));
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for _ in 0..self.count {
            done("umount", &["-l", self.at.to_str().unwrap()]);
        }
    }
}

const ON_TMPFS: [&str; 5] = ["-t", "tmpfs", "-o", "size=64k", "none"];

/// A `serve` with its records on what is mounted, and callers.
fn start(files: &Files) -> (Serving, Callers) {
    files.configure(&[("{path: audit/audit.jsonl}", "{path: disk/audit.jsonl}")]);
    let serving = Serving::start(files, "toolgate.yaml");
    let asked = question(&files.token("ada", "weather:read"), "get_forecast", &json!({"city": "Oslo"}));
    let callers = Callers::start(CALLERS, &serving.grpc, &[asked], Load::patient(PER_SECOND));
    (serving, callers)
}

#[track_caller]
fn conclude(files: &Files, told: &Told, trail_files: &[PathBuf], moments: &[Instant]) {
    let trail = Trail::read(trail_files);
    let recovered = recoveries(told, moments);
    println!(
        "{} times: {} allowed, {} denied; allowed again within {recovered:?}",
        moments.len(),
        told.allowed.len(),
        told.answers["audit_unavailable"],
    );
    told.is_complete();
    assert_eq!(told.answers.keys().collect::<Vec<_>>(), ["allow", "audit_unavailable"]);
    trail.holds(told);
    // Each that is missing is counted.
    assert_eq!(trail.lost, told.answers["audit_unavailable"]);
    assert!(recovered < RECOVERY, "{recovered:?}");
    verifies(files, trail_files);
}

/// Full `times` times.
async fn full(times: impl Fn(usize) -> bool) {
    let files = Files::new();
    let Some(mounted) = Mounted::new(files.path("disk"), &ON_TMPFS) else { return };
    let (mut serving, callers) = start(&files);
    let mut freed = Vec::new();
    while times(freed.len()) {
        let (denied, allowed) = (callers.seen.denied(), callers.seen.allowed());
        until(|| callers.seen.denied() > denied + 5, "it is never full").await;
        freed.push(Instant::now());
        mounted.resize(ROOM_KIB * (freed.len() + 1));
        until(|| callers.seen.allowed() > allowed, "it never allows again").await;
    }
    let told = callers.end().await;
    // Its last record may need the room.
    mounted.resize(ROOM_KIB * (freed.len() + 2));
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended(), 0);
    conclude(&files, &told, &[files.path("disk/audit.jsonl")], &freed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_allows_nothing_until_there_is_room() {
    full(|times| times < 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a minute; `make soak` runs it"]
async fn soak_of_full_disks() {
    let end = Instant::now() + soak();
    full(|_| Instant::now() < end).await;
}

/// A file system with an error becomes one that can only be read, under the file that is open. (Nobody can make it so while
/// a file is open for writing.) What is mounted over it afterwards is found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "for root; `make soak` runs it"]
async fn soak_of_a_file_system_that_becomes_read_only() {
    let files = Files::new();
    let image = files.path("image");
    let made = std::fs::File::create(&image).and_then(|file| file.set_len(16 << 20)).is_ok()
        && done("mkfs.ext4", &["-q", image.to_str().unwrap()]);
    let options = ["-o", "loop,errors=remount-ro", image.to_str().unwrap()];
    let Some(mut mounted) = made.then(|| Mounted::new(files.path("disk"), &options)).flatten() else {
        eprintln!("skipped: no ext4 can be mounted here");
        return;
    };
    let (mut serving, callers) = start(&files);
    until(|| callers.seen.allowed() > 100, "nothing is allowed").await;
    assert!(break_down(&mounted.at), "no error can be had");
    until(|| callers.seen.denied() > 20, "it is written all the same").await;
    let old = files.path("audit/audit.jsonl.before");
    std::fs::copy(files.path("disk/audit.jsonl"), &old).unwrap();
    let allowed = callers.seen.allowed();
    let repaired = Instant::now();
    assert!(mounted.add(&["-t", "tmpfs", "none"]));
    until(|| callers.seen.allowed() > allowed, "it never allows again").await;
    let told = callers.end().await;
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended(), 0);
    std::fs::copy(files.path("disk/audit.jsonl"), files.path("audit/audit.jsonl.after")).unwrap();
    conclude(&files, &told, &trail_files(&files.path("audit/audit.jsonl")), &[repaired]);
}

/// Has the file system that is mounted there find an error in itself.
fn break_down(at: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let line = mounts.lines().find(|line| line.split(' ').nth(1) == at.to_str()).unwrap();
    let device = line.split(' ').next().unwrap().trim_start_matches("/dev/");
    std::fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "1").is_ok()
}
