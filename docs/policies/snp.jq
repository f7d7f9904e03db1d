# SEV-SNP guests alone, affirming, on hardware that AMD vouches for; and of these only what the lists
# below name. An empty list takes every value, and such a line says nothing of which machine it is.
#
# Chip ids (128 hexadecimal digits, `atls inspect` shows them) are worth listing where somebody may
# have a machine open: keys that are taken out of one sign for that one only.
def chips: [];
def measurements: []; # launch measurements, 96 hexadecimal digits
def host_data: [];    # 64 hexadecimal digits, set by whoever launched the guest
def lines: [];        # "milan", "genoa", "turin", "venice"
def levels: [0];      # VMPL: 0 unless a paravisor owns it

def affirming: . >= 2 and . < 32;
def listed($list): . as $value | ($list | length) == 0 or any($list[]; . == $value);

.submods.SNP as $snp
| [ (select(.submods | keys != ["SNP"]) | "want exactly the submodule SNP"),
    (select($snp != null) | $snp
     | (select(.ear_status != "affirming")
        | "SNP is \(.ear_status): \(.ear_verifier_claims | .problems // [.problem // empty] | join("; "))"),
       (.ear_trustworthiness_vector | select(.hardware | affirming | not) | "nobody vouches for the hardware"),
       (.ear_trustworthiness_vector | select(.executables | affirming | not) | "the launch is not approved"),
       (.ear_attester_claims as $claims | $claims.details as $details
        | (select($details."chip-id" | listed(chips) | not) | "chip is not listed"),
          (select([$claims.measurements[]? | select(.key == 641) | .digests.sha384]
                  | length == 1 and (.[0] | listed(measurements)) | not)
           | "measurement is not listed"),
          (select($details."host-data" | listed(host_data) | not) | "host data is not listed"),
          (select($details."product-line" | listed(lines) | not) | "product line is not listed"),
          (select($details.vmpl | listed(levels) | not) | "VMPL is not listed"),
          (select($details.debug != false) | "the host may debug the guest"))),
    (select(.ear_status != "affirming") | "the whole is \(.ear_status)")
  ] as $reasons
| if $reasons == [] then {decision: "accept"} else {decision: "refuse", reasons: $reasons} end
