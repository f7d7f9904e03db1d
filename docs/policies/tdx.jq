# TDX trust domains alone, affirming, on hardware that Intel vouches for; and of these only what the
# lists below name. An empty list takes every value.
#
# Platforms (platform instance ids, 32 hexadecimal digits) are worth listing where somebody may have a
# machine open: keys that are taken out of one sign for that one only. A platform of one socket whose
# certificate has no instance id is named by its PPID.
def platforms: [];
def mrtds: [];       # MRTD, 96 hexadecimal digits
def mrconfigids: []; # MRCONFIGID, 96 hexadecimal digits, set by whoever launched the domain
# Statuses of the TCB. Others than these come only where a rule of the verifier lets them pass
# (tdx.statuses), and are a warning then: name "warning" below as well to accept them.
def statuses: ["UpToDate"];
def ears: ["affirming"];

def listed($list): . as $value | ($list | length) == 0 or any($list[]; . == $value);
def digests($key): [.measurements[]? | select(.key == $key) | .digests.sha384];

.submods.TDX as $tdx
| [ (select(.submods | keys != ["TDX"]) | "want exactly the submodule TDX"),
    (select($tdx != null) | $tdx
     | (select(.ear_status | listed(ears) | not)
        | "TDX is \(.ear_status): \(.ear_verifier_claims | .problems // [.problem // empty] | join("; "))"),
       (.ear_trustworthiness_vector | select(.hardware | . < 2 or . > 32) | "nobody vouches for the hardware"),
       (.ear_trustworthiness_vector | select(.executables | . < 2 or . >= 32) | "what runs is not approved"),
       (.ear_attester_claims as $claims | $claims.details as $details
        | (select($details."tcb-status" | listed(statuses) | not)
           | "status of the TCB is \($details."tcb-status" // "unknown")"),
          (select($details | ."platform-instance-id" // .ppid | listed(platforms) | not)
           | "platform is not listed"),
          (select($claims | digests("mrtd") | length == 1 and (.[0] | listed(mrtds)) | not)
           | "MRTD is not listed"),
          (select($claims | digests("mrconfigid") | length == 1 and (.[0] | listed(mrconfigids)) | not)
           | "MRCONFIGID is not listed"),
          (select($details.debug != false) | "the host may debug the domain"))),
    (select(.ear_status | listed(ears) | not) | "the whole is \(.ear_status)")
  ] as $reasons
| if $reasons == [] then {decision: "accept"} else {decision: "refuse", reasons: $reasons} end
