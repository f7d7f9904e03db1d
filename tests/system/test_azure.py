"""A confidential machine as Azure has them: a software TPM for the paravisor's, with the host's RSA attestation key
and the hardware's report in NV, and simulated hardware that signed for that key."""
import base64
import hashlib
import json
import pathlib
import re
import struct

import pytest

from conftest import REFUSED, USAGE, YES, need, run, tool
from test_tee_sim import sim

cbor2 = pytest.importorskip("cbor2")

AK, INDEX, INDEX_LEN = "0x81000003", "0x01400001", 2048
CLASS = "6e1a7c0e-5b0f-4d55-9a63-8f2b7a0d41c6"  # docs/azure.md
PARAVISOR = "5e26b0a1-7a0b-4c55-8e2c-0d6f6d6a2f11"
PLAIN_GUEST = "vcek"
MACHINE = "7f3c2a10-9d5e-4b1c-8a44-0d6f1e2b3c4d"
DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "azure.md"
POLICY = DOCUMENT.read_text().split("```jq\n")[1].split("```")[0]
DATA = b"what was sent\n" * 100


def modulus_of(key):
    text = tool("openssl", "rsa", "-pubin", "-in", key, "-noout", "-modulus").decode()
    return base64.urlsafe_b64encode(bytes.fromhex(text.strip().split("=")[1])).rstrip(b"=").decode()


def variables(key):
    """The text that the hardware signs a hash of."""
    ak = {"kid": "HCLAkPub", "key_ops": ["sign"], "kty": "RSA", "e": "AQAB", "n": modulus_of(key)}
    settings = {"root-cert-thumbprint": "", "console-enabled": True, "secure-boot": True, "tpm-enabled": True,
                "vmUniqueId": MACHINE}
    return json.dumps({"keys": [ak], "vm-configuration": settings, "user-data": "00" * 64}).encode()


def hcl_report(hardware, text):
    """Laid out as src/wire/hcl.h has it, without the zeros behind it."""
    data = struct.pack("<IIIII", 20 + len(text), 1, 2, 1, len(text)) + text
    header = b"HCLA" + struct.pack("<IIII", 2, 32 + len(hardware) + len(data), 2, 0) + bytes(12)
    assert len(header) == 32 and len(hardware) == 1184
    return header + hardware + data


class Machine:
    """The hardware, its virtual TPM, and a store that trusts the hardware's maker and knows no attestation key."""

    def __init__(self, lab, of_class=PARAVISOR):
        need("tpm2_createek", "tpm2_createak", "tpm2_evictcontrol", "tpm2_flushcontext", "tpm2_nvdefine",
             "tpm2_nvwrite", "tpm2_pcrread")
        self.lab, self.dir, self.ak = lab, lab.dir / "hardware", lab.dir / "ak.pem"
        self.tpm = lab.tpm()
        sim("init", self.dir, "--tee", "snp", "--line", "milan", "--rsa-bits", "2048")
        self.make_key()
        self.boot()
        for root in (self.dir / "roots").glob("*.pem"):
            run("store", "import", "--store", lab.store, "--anchor", "tee", root)
        for manifest in (self.paravisor(of_class), self.reference_values()):
            run("store", "import", "--store", lab.store, "--corim", manifest)
        self.options = f"ak={AK}&hcl-report=nv&collateral={self.dir}/collateral"

    def tool(self, *arguments):
        return tool(*arguments, env={"TPM2TOOLS_TCTI": self.tpm.tcti})

    def make_key(self):
        """What the host made before the guest ran."""
        ek, ak = (self.lab.dir / f"{name}.context" for name in ("ek", "ak"))
        self.tool("tpm2_createek", "-G", "rsa", "-c", ek)
        self.tool("tpm2_flushcontext", "-t")
        self.tool("tpm2_createak", "-C", ek, "-G", "rsa", "-g", "sha256", "-s", "rsassa", "-c", ak, "-f", "pem", "-u",
                  self.ak)
        self.tool("tpm2_flushcontext", "-t")
        self.tool("tpm2_evictcontrol", "-C", "o", "-c", ak, AK)
        self.tool("tpm2_flushcontext", "-t")
        # The index's own authorisation is the host's secret: the guest reads as owner.
        self.tool("tpm2_nvdefine", INDEX, "-C", "o", "-s", INDEX_LEN, "-p", "secret", "-a",
                  "ownerread|ownerwrite|authread|authwrite|no_da")

    def report(self, key):
        text = variables(key)
        challenge = hashlib.sha256(text).digest() + bytes(32)
        hardware = cbor2.loads(sim("evidence", self.dir, "--challenge", challenge.hex()).stdout)["outblob"]
        return hcl_report(hardware, text)

    def boot(self, key=None):
        """The paravisor puts a report into the TPM."""
        path = self.lab.dir / "hcl-report"
        path.write_bytes(self.report(key or self.ak).ljust(INDEX_LEN, b"\0"))
        self.tool("tpm2_nvwrite", INDEX, "-C", "o", "-i", path)

    def paravisor(self, of_class):
        """What launched, as the reference value of a class."""
        report = cbor2.loads(sim("evidence", self.dir, "--challenge", "00" * 64).stdout)["outblob"]
        template, manifest = (self.lab.dir / f"paravisor-{of_class[:8]}{end}" for end in (".json", ".corim"))
        template.write_text(json.dumps({
            "id": f"launch-{of_class}", "tag-id": "launch", "profile": "snp", "class": of_class,
            "reference-values": {"measurement": report[0x90:0xc0].hex()}}))
        run("corim", "create", "--template", template, "--out", manifest)
        return manifest

    def reference_values(self):
        values, template, manifest = (self.lab.dir / f"pcrs{end}" for end in ("", ".json", ".corim"))
        self.tool("tpm2_pcrread", "sha256:0,1,2,3,4,5,6,7", "-Q", "-o", values)
        pcrs = values.read_bytes()
        assert len(pcrs) == 8 * 32
        template.write_text(json.dumps({
            "id": "azure", "tag-id": "pcrs", "class": CLASS,
            "reference-values": {"sha256": {str(i): pcrs[32 * i:][:32].hex() for i in range(8)}}}))
        run("corim", "create", "--template", template, "--out", manifest)
        return manifest

    @property
    def attester(self):
        return f"tpm2:{self.tpm.tcti}?{self.options}"

    def serve(self):
        return self.lab.serve("--echo", "--once", *self.lab.tls(), "--attester", self.attester)

    def connect(self, process, status=YES):
        path = self.lab.dir / "policy.jq"
        path.write_text(POLICY)
        return self.lab.connect(process, "--identity", "attested", "--ca", self.lab.dir / "ca.pem", "--policy", path,
                                stdin=DATA, status=status)

    def evidence(self):
        """Evidence, and a function that appraises what stands in its file then."""
        path, aik = (self.lab.dir / name for name in ("evidence.cbor", "aik.der"))
        made = run("evidence", "--attester", self.attester, "--random-binder", "--out", path, "--aik-out", aik)
        binder = re.search(rb"binder ([0-9a-f]{64})", made.stderr).group(1).decode()

        def appraise(status=YES):
            return run("appraise", "--evidence", path, "--binder", binder, "--aik", aik, "--verifier",
                       self.lab.verifier, "--json", status=status)

        return path, appraise


@pytest.fixture
def machine(lab):
    return Machine(lab)


def test_a_connection_with_a_confidential_machine(machine):
    process = machine.serve()
    assert machine.connect(process).stdout == DATA
    assert process.wait(20) == YES, process.log.read_text()


def test_the_result_has_both(machine):
    _, appraise = machine.evidence()
    submods = json.loads(appraise().stdout)["ear"]["submods"]
    assert sorted(submods) == ["SNP", "TPM"]
    assert all(one["ear_status"] == "affirming" for one in submods.values())
    assert MACHINE in json.dumps(submods["SNP"]) and MACHINE not in json.dumps(submods["TPM"])


def test_the_policy_wants_the_hardware(machine):
    """A TPM whose owner enrolled it is good, but no confidential machine."""
    machine.tpm.uri = f"tpm2:{machine.tpm.tcti}?ak={AK}&aik=0x81010003"
    process = machine.lab.serve("--echo", "--once", *machine.lab.tls(), *machine.lab.enrol(machine.tpm))
    assert b"want TPM and its hardware" in machine.connect(process, REFUSED).stderr
    process.kill()


def test_nobody_else_vouches_for_the_key(machine):
    """Neither the key nor a maker of TPMs is known to the store."""
    machine.options = f"ak={AK}"
    process = machine.serve()
    done = machine.connect(process, REFUSED)
    assert b"the attestation key is not enrolled and has no certificate" in done.stderr
    process.kill()


def test_documents_of_the_maker_come_with_the_evidence(machine):
    """Without them this store, which has none, cannot tell."""
    machine.options = f"ak={AK}&hcl-report=nv"
    process = machine.serve()
    done = machine.connect(process, REFUSED)
    assert b"[collateral-unavailable]" in done.stderr
    process.kill()


def test_hardware_in_debug_vouches_for_nothing(machine):
    sim("set", machine.dir, "debug=yes")
    machine.boot()
    process = machine.serve()
    assert b"[policy-debug-enabled]" in machine.connect(process, REFUSED).stderr
    process.kill()


def test_a_guest_is_no_paravisor(lab):
    """What is good as a guest of its own is not therefore good below a virtual TPM."""
    machine = Machine(lab, PLAIN_GUEST)
    process = machine.serve()
    assert b"SNP is warning" in machine.connect(process, REFUSED).stderr
    process.kill()


def test_other_values_in_the_virtual_tpm(machine):
    machine.tpm.extend(7)
    process = machine.serve()
    assert b"PCR 7" in machine.connect(process, REFUSED).stderr
    process.kill()


def other_key(lab):
    private, public = (lab.dir / f"other.{name}" for name in ("key", "pem"))
    tool("openssl", "genrsa", "-out", private, "2048")
    tool("openssl", "rsa", "-in", private, "-pubout", "-out", public)
    return public


def test_an_attester_does_not_start_with_a_report_for_another_key(machine):
    machine.boot(other_key(machine.lab))
    done = run("evidence", "--attester", machine.attester, "--random-binder", "--out", machine.lab.dir / "e",
               status=None)
    assert done.returncode == USAGE, done.stderr
    assert b"HCLAkPub is not the attestation key" in done.stderr


def test_a_report_for_another_key_is_refused(machine):
    """Genuine hardware signed it, and the TPM's part is genuine as well; they do not belong together."""
    path, appraise = machine.evidence()
    appraise()
    bundle = cbor2.loads(path.read_bytes())
    record = bundle["endorsements"]["hcl-report"]
    record[1] = machine.report(other_key(machine.lab))
    path.write_bytes(cbor2.dumps(bundle))
    assert b"[untrusted-ak]" in appraise(REFUSED).stderr
    record[1] = machine.report(machine.ak)
    path.write_bytes(cbor2.dumps(bundle))
    appraise()
