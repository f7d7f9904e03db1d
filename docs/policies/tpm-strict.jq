# TPMs only, whose boot is known and whose key is known or certified, whose quote covers what boots
# the machine, and whose result is of this library's verifier.
#
# PCR 0, 2, 4: firmware, option code, boot loader; 7: Secure Boot (TCG PC Client Platform Firmware
# Profile section 3.3.4). They must be in a bank that is no SHA-1.
def affirming: . >= 2 and . < 32;
def strong($pcr): any(.measurements[]?;
    .key == $pcr and (.digests | has("sha256") or has("sha384") or has("sha512")));

.submods.TPM as $tpm
| [ (select(.submods | keys != ["TPM"]) | "want exactly the submodule TPM"),
    (select($tpm != null) | $tpm
     | (select(.ear_status != "affirming")
        | "TPM is \(.ear_status): \(.ear_verifier_claims | .problems // [.problem // empty] | join("; "))"),
       (.ear_trustworthiness_vector
        | select(.executables | affirming | not) | "boot is not approved"),
       (.ear_trustworthiness_vector
        | select((."instance-identity" | affirming) or (.hardware | affirming) | not)
        | "neither this TPM nor its maker is known"),
       (.ear_attester_claims as $claims
        | (0, 2, 4, 7) | select(. as $pcr | $claims | strong($pcr) | not)
        | "PCR \(.) is not quoted in a strong bank")),
    (select(.ear_status != "affirming") | "the whole is \(.ear_status)")
  ] as $reasons
| if $reasons == [] then {decision: "accept"} else {decision: "refuse", reasons: $reasons} end
