//! A folder by NFS, as a client of another making sees it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nfs3_client::Nfs3ConnectionBuilder;
use nfs3_client::nfs3_types::nfs3::{
    self, Nfs3Result, cookieverf3, createhow3, diropargs3, filename3, nfs_fh3, sattr3, set_size3, stable_how,
};
use nfs3_client::nfs3_types::xdr_codec::Opaque;
use nfs3_client::tokio::TokioConnector;

type Connection = nfs3_client::Nfs3Connection<nfs3_client::tokio::TokioIo<tokio::net::TcpStream>>;

/// Begins to serve a folder; gives the port.
async fn serve(folder: &Path) -> (u16, tokio::task::JoinHandle<std::io::Result<()>>) {
    let (sender, port) = tokio::sync::oneshot::channel();
    let folder = folder.to_owned();
    let serving = tokio::spawn(async move {
        infra_nfs_server::serve(&folder, "127.0.0.1:0", |port| sender.send(port).expect("somebody waits")).await
    });
    (port.await.expect("it serves"), serving)
}

/// Mounts a folder as nodes do: everything at one port, without a port mapper.
async fn mount(port: u16, folder: &Path) -> Connection {
    let path = folder.display().to_string();
    Nfs3ConnectionBuilder::new(TokioConnector, "127.0.0.1", path)
        .connect_from_privileged_port(false)
        .mount_port(port)
        .nfs3_port(port)
        .mount()
        .await
        .expect("it is mounted")
}

fn at<'a>(folder: &nfs_fh3, name: &'a str) -> diropargs3<'a> {
    diropargs3 { dir: folder.clone(), name: filename3(Opaque::borrowed(name.as_bytes())) }
}

async fn create(connection: &mut Connection, folder: &nfs_fh3, name: &str) -> nfs_fh3 {
    let how = createhow3::UNCHECKED(sattr3 { size: set_size3::Some(0), ..sattr3::default() });
    let made = connection.create(&nfs3::CREATE3args { where_: at(folder, name), how }).await.expect("an answer");
    made.unwrap().obj.unwrap()
}

async fn write(connection: &mut Connection, file: &nfs_fh3, offset: u64, text: &str) {
    let arguments = nfs3::WRITE3args {
        file: file.clone(),
        offset,
        count: u32::try_from(text.len()).expect("it is short"),
        stable: stable_how::UNSTABLE,
        data: Opaque::borrowed(text.as_bytes()),
    };
    let written = connection.write(&arguments).await.expect("an answer").unwrap();
    assert_eq!(written.committed, stable_how::FILE_SYNC, "what was answered is on the disk");
}

async fn read(connection: &mut Connection, file: &nfs_fh3) -> Result<String, nfs3::nfsstat3> {
    let arguments = nfs3::READ3args { file: file.clone(), offset: 0, count: 4096 };
    match connection.read(&arguments).await.expect("an answer") {
        Nfs3Result::Ok(read) => Ok(String::from_utf8(read.data.as_ref().to_vec()).expect("text")),
        Nfs3Result::Err((status, _)) => Err(status),
    }
}

async fn lookup(connection: &mut Connection, folder: &nfs_fh3, name: &str) -> Result<nfs_fh3, nfs3::nfsstat3> {
    match connection.lookup(&nfs3::LOOKUP3args { what: at(folder, name) }).await.expect("an answer") {
        Nfs3Result::Ok(found) => Ok(found.object),
        Nfs3Result::Err((status, _)) => Err(status),
    }
}

async fn names(connection: &mut Connection, folder: &nfs_fh3) -> Vec<String> {
    let (mut names, mut cookie, mut verifier) = (Vec::new(), 0, cookieverf3::default());
    loop {
        let arguments =
            nfs3::READDIRPLUS3args { dir: folder.clone(), cookie, cookieverf: verifier, dircount: 512, maxcount: 2048 };
        let page = connection.readdirplus(&arguments).await.expect("an answer").unwrap();
        for entry in page.reply.entries.0 {
            cookie = entry.cookie;
            names.push(String::from_utf8_lossy(entry.name.as_ref()).into_owned());
        }
        verifier = page.cookieverf;
        if page.reply.eof {
            names.sort();
            return names;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_client_writes_another_reads_and_the_disk_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let (port, _serving) = serve(folder.path()).await;
    let (mut one, mut other) = (mount(port, folder.path()).await, mount(port, folder.path()).await);
    let root = one.root_nfs_fh3();
    let file = create(&mut one, &root, "model").await;
    write(&mut one, &file, 0, "weights").await;
    write(&mut one, &file, 7, " of one").await;
    let seen = lookup(&mut other, &root, "model").await.expect("it is there");
    assert_eq!(read(&mut other, &seen).await.as_deref(), Ok("weights of one"));
    assert_eq!(fs::read_to_string(folder.path().join("model")).expect("a file"), "weights of one");
    assert_eq!(lookup(&mut other, &root, "nothing").await, Err(nfs3::nfsstat3::NFS3ERR_NOENT));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_holds_stays_good_when_the_server_starts_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (port, serving) = serve(folder.path()).await;
    let mut before = mount(port, folder.path()).await;
    let root = before.root_nfs_fh3();
    let made = before.mkdir(&nfs3::MKDIR3args { where_: at(&root, "parts"), attributes: sattr3::default() }).await;
    let parts = made.expect("an answer").unwrap().obj.unwrap();
    let file = create(&mut before, &parts, "part-1").await;
    write(&mut before, &file, 0, "one").await;
    serving.abort();
    let (port, _serving) = serve(folder.path()).await;
    let mut after = mount(port, folder.path()).await;
    assert_eq!(read(&mut after, &file).await.as_deref(), Ok("one"));
    let from = at(&root, "parts");
    let moved = after.rename(&nfs3::RENAME3args { from, to: at(&root, "moved") }).await.expect("an answer");
    assert!(matches!(moved, Nfs3Result::Ok(_)));
    assert_eq!(read(&mut after, &file).await.as_deref(), Ok("one"), "a folder takes its files along");
    let removed = after.remove(&nfs3::REMOVE3args { object: at(&parts, "part-1") }).await.expect("an answer");
    assert!(matches!(removed, Nfs3Result::Ok(_)));
    fs::write(folder.path().join("moved/part-1"), "another").expect("a file");
    assert_eq!(read(&mut after, &file).await, Err(nfs3::nfsstat3::NFS3ERR_STALE), "it is another file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_folder_is_listed_whole_page_by_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let wanted: Vec<String> = (0..300).map(|number| format!("file-{number:03}")).collect();
    for name in &wanted {
        fs::write(folder.path().join(name), "x").expect("a file");
    }
    let (port, _serving) = serve(folder.path()).await;
    let mut client = mount(port, folder.path()).await;
    let root = client.root_nfs_fh3();
    assert_eq!(names(&mut client, &root).await, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_made_by_one_alone_is_made_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (port, _serving) = serve(folder.path()).await;
    let mut client = mount(port, folder.path()).await;
    let root = client.root_nfs_fh3();
    let exclusively = |verifier: u8| nfs3::CREATE3args {
        where_: at(&root, "lock"),
        how: createhow3::EXCLUSIVE(nfs3::createverf3([verifier; 8])),
    };
    let first = client.create(&exclusively(1)).await.expect("an answer");
    assert!(matches!(first, Nfs3Result::Ok(_)));
    let again = client.create(&exclusively(1)).await.expect("an answer");
    assert!(matches!(again, Nfs3Result::Ok(_)), "the same request, whose answer was lost");
    let other = client.create(&exclusively(2)).await.expect("an answer");
    assert!(matches!(other, Nfs3Result::Err((nfs3::nfsstat3::NFS3ERR_EXIST, _))));
    assert_eq!(fs::metadata(folder.path().join("lock")).expect("a file").size(), 0);
}
