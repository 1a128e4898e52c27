#!/usr/bin/env python3
"""Asks a real API server (v1.34, kubeconfig in KUBECONFIG, namespace `kinds`) what it makes of the inputs.

Writes fixtures/*.json beside this file: what it stored of a valid object, or the causes why it refused one.
An input is a document of a YAML file or an item of a JSON file; `what` names it. `old` (created for real) and `new` (a merge patch of it) stand for an update.
"""
import base64, email.utils, json, os, pathlib, ssl, sys, tempfile, time, urllib.error, urllib.request
import yaml

HERE = pathlib.Path(__file__).parent


def connect():
    config = yaml.safe_load(open(os.environ["KUBECONFIG"]))
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        for key in ("client-certificate-data", "client-key-data"):
            file.write(base64.b64decode(user[key]) + b"\n")
        file.flush()
        context.load_cert_chain(file.name)
    return cluster["server"], context


SERVER, CONTEXT = connect()
CLUSTER_SCOPED = {"Namespace", "Node", "PersistentVolume", "StorageClass", "ClusterRole", "ClusterRoleBinding"}


def call(method, path, body=None):
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(SERVER + path, data, {"Content-Type": "application/json"}, method=method)
    try:
        return json.load(urllib.request.urlopen(request, context=CONTEXT))
    except urllib.error.HTTPError as error:
        return json.load(error)


def path(kind, version):
    plural = {"StorageClass": "storageclasses"}.get(kind, kind.lower() + "s")
    start = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    return start + ("" if kind in CLUSTER_SCOPED else "/namespaces/kinds") + "/" + plural


ADMITTED = {"priority", "preemptionPolicy", "serviceAccount", "serviceAccountName"}
ADMITTED_TOLERATIONS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def strip(result, given):
    """Takes away what admission and allocation added, and what is never the same."""
    metadata = result["metadata"]
    for name in ("uid", "creationTimestamp", "managedFields", "resourceVersion", "namespace"):
        metadata.pop(name, None)
    if "finalizers" not in given["metadata"]:
        metadata.pop("finalizers", None)
    if result["kind"] == "Pod":
        spec = result["spec"]
        given_names = given["spec"].keys() | ({"serviceAccountName"} if "serviceAccount" in given["spec"] else set())
        for name in ADMITTED - given_names:
            spec.pop(name, None)
        spec["tolerations"] = [each for each in spec["tolerations"] if each.get("key") not in ADMITTED_TOLERATIONS]
        if not spec["tolerations"]:
            del spec["tolerations"]
    if result["kind"] == "Service":
        if "clusterIP" not in given["spec"]:
            result["spec"].pop("clusterIP", None)
            result["spec"].pop("clusterIPs", None)
        for port in result["spec"].get("ports", []):
            port.pop("nodePort", None)
    if result["kind"] == "Node":
        result["spec"].pop("taints", None)
    result.get("status", {}).pop("lastPhaseTransitionTime", None)
    for condition in result.get("status", {}).get("conditions", []):
        condition["lastTransitionTime"] = None
    return result


def merge(value, patch):
    if not isinstance(patch, dict):
        return patch
    value = dict(value) if isinstance(value, dict) else {}
    for key, change in patch.items():
        if change is None:
            value.pop(key, None)
        else:
            value[key] = merge(value.get(key), change)
    return value


def answer(result, given):
    if result.get("kind") != "Status":
        return {"object": strip(result, given)}
    return {"message": result["message"], "causes": result.get("details", {}).get("causes", []), "code": result["code"]}


def ask_create(case):
    given = case["create"]
    where = path(given["kind"], given["apiVersion"])
    return answer(call("POST", where + "?dryRun=All&fieldValidation=Ignore", given), given)


def ask_update(case):
    given, where = case["old"], path(case["old"]["kind"], case["old"]["apiVersion"])
    name = given["metadata"]["name"]
    for _ in range(50):
        call("DELETE", f"{where}/{name}", {"gracePeriodSeconds": 0})
        old = call("POST", where, given)
        if old.get("code") != 409:
            break
        time.sleep(0.2)
    if old.get("kind") == "Status":
        sys.exit(f"{case['what']}: {old['message']}")
    old["metadata"].pop("managedFields", None)
    new = merge(old, case["new"])
    new["metadata"].pop("resourceVersion", None)
    result = call("PUT", f"{where}/{name}?dryRun=All&fieldValidation=Ignore", new)
    call("DELETE", f"{where}/{name}", {"gracePeriodSeconds": 0, "propagationPolicy": "Background"})
    if result.get("kind") != "Status":
        return {"before": old, "after": new, "object": result}
    return {"before": old, "after": new, **answer(result, new)}


def main():
    for file in sorted((HERE / "inputs").iterdir()):
        if len(sys.argv) > 1 and file.stem not in sys.argv[1:]:
            continue
        cases = []
        inputs = json.loads(file.read_text()) if file.suffix == ".json" else yaml.safe_load_all(file.read_text())
        for case in inputs:
            result = ask_create(case) if "create" in case else ask_update(case)
            given = {"create": case["create"]} if "create" in case else {}
            cases.append({"what": case["what"], **given, **result})
        (HERE / "fixtures" / f"{file.stem}.json").write_text(json.dumps(cases, indent=1) + "\n")
        print(file.stem, len(cases))


TABLES = [
    "v1/pods", "v1/services", "v1/configmaps", "v1/secrets", "v1/serviceaccounts", "v1/persistentvolumeclaims", "v1/events",
    "v1/replicationcontrollers", "v1/resourcequotas", "v1/limitranges", "apps/v1/deployments", "apps/v1/replicasets",
    "batch/v1/jobs", "discovery.k8s.io/v1/endpointslices", "rbac.authorization.k8s.io/v1/rolebindings",
    "rbac.authorization.k8s.io/v1/roles", "v1/nodes", "v1/namespaces", "v1/persistentvolumes",
    "storage.k8s.io/v1/storageclasses", "rbac.authorization.k8s.io/v1/clusterroles",
    "rbac.authorization.k8s.io/v1/clusterrolebindings",
]


def ask_tables():
    """Tables with their objects, and the time when they were made; a few rows of each."""
    tables = []
    for name in TABLES:
        version, plural = name.rsplit("/", 1)
        where = ("/api/" if "/" not in version else "/apis/") + f"{name}?includeObject=Object&limit=40"
        if TABLES.index(name) < TABLES.index("v1/nodes"):
            where = where.replace(plural, f"namespaces/kinds/{plural}")
        request = urllib.request.Request(SERVER + where)
        request.add_header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        with urllib.request.urlopen(request, context=CONTEXT) as response:
            now, table = email.utils.parsedate_to_datetime(response.headers["Date"]), json.load(response)
        for row in table["rows"] or []:
            row["object"]["metadata"].pop("managedFields", None)
        rows = [{"cells": row["cells"], "object": row["object"]} for row in table["rows"] or []]
        columns = [{key: column[key] for key in ("name", "type", "format", "priority")} for column in table["columnDefinitions"]]
        made = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        tables.append({"resource": name, "now": made, "columns": columns, "rows": rows})
    (HERE / "fixtures" / "tables.json").write_text(json.dumps(tables, indent=1) + "\n")
    print("tables", sum(len(table["rows"]) for table in tables))


if sys.argv[1:] == ["tables"]:
    ask_tables()
else:
    main()
