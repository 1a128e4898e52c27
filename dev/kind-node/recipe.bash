# shellcheck shell=bash disable=SC2034,SC2154
# What the node image is made of. Sourced by `build`, which sets $here, $bin, $work, $root, $label and $importer. All that
# decides about the image's content is in this file, in files/ and in go/: their hash is the image's label.

kubernetes=v1.34.4
# The tags that kubeadm of this version asks for, and those that kind's own manifests name.
etcd=3.6.5-0 coredns=v1.12.1 pause=3.10.1
provisioner=docker.io/kindest/local-path-provisioner:v20260820-69b56db7
provisioner_helper=docker.io/kindest/local-path-helper:v20260131-7181c60a

debian=bookworm
debian_packages=systemd,systemd-sysv,dbus,iproute2,iptables,nftables,conntrack,ethtool,kmod,mount,util-linux,ca-certificates,curl,jq,procps,containerd,runc,containernetworking-plugins,e2fsprogs,socat,hostname

# make_debian: the Debian of the node in $root.
make_debian() {
  debootstrap --variant=minbase --include="$debian_packages" "$debian" "$root"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
}

# make_programs FOLDER: the programs of the nodes and kind itself, linked statically.
make_programs() {
  local folder=$1 program variable=k8s.io/component-base/version
  local stamp="-X $variable.gitVersion=$kubernetes -X $variable.gitMajor=1 -X $variable.gitMinor=34 -X $variable.gitTreeState=clean -X $variable.buildDate=2026-01-01T00:00:00Z"
  export CGO_ENABLED=0 GOWORK=off
  say "Kubernetes $kubernetes as a Go module (about 6 minutes on 2 cores when nothing is cached)"
  (cd "$here/go/kubernetes" && go build -trimpath -ldflags "-s -w $stamp" -o "$folder/" \
    k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kube-proxy,kubelet,kubeadm,kubectl})
  say "etcd, CoreDNS, kind and the local-path provisioner as Go modules"
  for program in go.etcd.io/etcd/server/v3:etcd ./coredns:coredns sigs.k8s.io/kind:kind; do
    (cd "$here/go/etcd-coredns-kind" && go build -trimpath -ldflags '-s -w' -o "$folder/${program##*:}" "${program%:*}")
  done
  (cd "$here/go/local-path" && go build -trimpath -ldflags '-s -w' -o "$folder/local-path-provisioner" github.com/rancher/local-path-provisioner)
  gcc -Os -static -s -o "$folder/pause" "$here/files/pause.c"
}

# add_image NAME FOLDER SETTINGS: the folder as the one layer of an image in the archive $work/archive. The settings are
# those of an image's configuration, as JSON. Written out by hand since Docker's store need not see these images, and
# compressed since each node gets a copy of the archive's layers.
add_image() {
  local name=$1 folder=$2 settings=$3 archive=$work/archive layer config
  mkdir -p "$archive"
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$folder" -cf "$folder.tar" .
  layer=$(sha256sum <"$folder.tar" | cut -d' ' -f1)
  gzip -n -1 <"$folder.tar" >"$archive/$layer.tar.gz"
  rm "$folder.tar"
  config=$(jq -nc --arg layer "sha256:$layer" --arg architecture "$(dpkg --print-architecture)" --argjson config "$settings" \
    '{architecture: $architecture, os: "linux", config: $config, rootfs: {type: "layers", diff_ids: [$layer]}}')
  printf %s "$config" >"$archive/$(printf %s "$config" | sha256sum | cut -d' ' -f1).json"
  jq -nc --arg config "$(printf %s "$config" | sha256sum | cut -d' ' -f1).json" --arg name "$name" --arg layer "$layer.tar.gz" \
    '{Config: $config, RepoTags: [$name], Layers: [$layer]}' >>"$work/manifest.lines"
}

# add_program IMAGE PROGRAM SETTINGS: an image with this program and nothing else.
add_program() {
  install -D -t "$work/$2/usr/local/bin" "$bin/$2"
  add_image "$1" "$work/$2" "$3"
}

# make_archive: the images that the cluster itself runs, as $work/images.tar, in the format of `docker save`.
make_archive() {
  local path='{"Env": ["PATH=/usr/local/bin"]}' name file
  for name in kube-apiserver kube-controller-manager kube-scheduler; do
    add_program "registry.k8s.io/$name:$kubernetes" "$name" "$path"
  done
  add_program "registry.k8s.io/etcd:$etcd" etcd "$path"
  add_program "registry.k8s.io/coredns/coredns:$coredns" coredns '{"Entrypoint": ["/usr/local/bin/coredns"]}'
  add_program "$provisioner" local-path-provisioner "$path"
  add_program "registry.k8s.io/pause:$pause" pause '{"Entrypoint": ["/usr/local/bin/pause"]}'
  install -D -t "$work/helper/bin" /bin/busybox
  for name in sh mkdir rm chmod; do ln -s busybox "$work/helper/bin/$name"; done
  add_image "$provisioner_helper" "$work/helper" '{"Env": ["PATH=/bin"]}'
  # kube-proxy calls these programs of Debian's, which need their libraries.
  local programs='/usr/sbin/nft /usr/sbin/conntrack /usr/sbin/xtables-nft-multi'
  for file in $programs $(chroot "$root" sh -c "ldd $programs /usr/lib/*-linux-gnu/xtables/*.so" | grep -o '/[^ :]*\.so[^ :]*' | sort -u); do
    install -D "$root$(chroot "$root" realpath "$file")" "$work/kube-proxy$file"
  done
  for name in {iptables,ip6tables}{,-save,-restore}; do ln -s xtables-nft-multi "$work/kube-proxy/usr/sbin/$name"; done
  mkdir -p "$work/kube-proxy/run"
  add_program "registry.k8s.io/kube-proxy:$kubernetes" kube-proxy '{"Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin"]}'
  jq -sc . "$work/manifest.lines" >"$work/archive/manifest.json"
  tar -C "$work/archive" -cf "$work/images.tar" .
}

# make_root: turns the Debian in $root into a node.
make_root() {
  local files=$here/files unit
  install -D "$files/entrypoint" "$root/usr/local/bin/entrypoint"
  install -D "$files/runc-without-sys-resource" "$root/usr/local/sbin/runc-node"
  install -D "$files/pod-network" "$root/usr/local/bin/pod-network"
  install -m644 -D "$files/containerd.toml" "$root/etc/containerd/config.toml"
  install -m644 -D "$files/kubelet.default" "$root/etc/default/kubelet"
  install -m644 -D -t "$root/kind/manifests" "$files/default-cni.yaml" "$files/default-storage.yaml"
  install -D -t "$root/usr/bin" "$bin/kubelet" "$bin/kubeadm" "$bin/kubectl"
  mkdir -p "$root/etc/kubernetes/manifests" "$root/etc/cni/net.d" "$root/opt/cni"
  ln -sfn /usr/lib/cni "$root/opt/cni/bin"
  printf %s "$kubernetes" >"$root/kind/version"
  # Of systemd's units only those that a container needs, and the node's own.
  (cd "$root" && rm -f lib/systemd/system/{multi-user,local-fs,basic}.target.wants/* etc/systemd/system/*.wants/* \
    lib/systemd/system/sockets.target.wants/*{udev,initctl}* lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service)
  mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
  for unit in containerd kubelet pod-network; do
    install -m644 "$files/$unit.service" "$root/etc/systemd/system/$unit.service"
    ln -sf "../$unit.service" "$root/etc/systemd/system/multi-user.target.wants/$unit.service"
  done
  ln -sf /dev/null "$root/etc/systemd/system/systemd-binfmt.service"
  echo ReadKMsg=no >>"$root/etc/systemd/journald.conf"
}

# make_image NAME RECIPE: the node in $root with the images of $work/images.tar in its containerd, as an image in Docker.
# The name is given in the last step, so an image that has it is whole.
make_image() {
  local base
  base=$(tar -C "$root" -c . | docker import -c "LABEL $label=" -)
  docker run -d --name "$importer" --label "$label=" --privileged --tmpfs /run --stop-signal SIGRTMIN+3 --entrypoint /usr/bin/containerd "$base"
  docker exec "$importer" sh -c 'for _ in $(seq 300); do ctr version && exit; sleep 0.1; done; exit 1'
  docker exec -i "$importer" ctr -n k8s.io images import - <"$work/images.tar"
  docker exec -i "$importer" bash <"$here/files/settle-images"
  docker kill -s TERM "$importer" # not `stop`: the stop signal is systemd's, and containerd's database must be closed
  docker wait "$importer"
  docker commit -c 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]' -c 'ENV container=docker' \
    -c "LABEL recipe=$2" "$importer" "$1"
}
