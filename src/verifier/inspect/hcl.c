#include "verifier/inspect/view.h"

#include "wire/hcl.h"

/* REPORTDATA of the REPORTMACSTRUCT that a TDREPORT begins with (Intel TDX module ABI). */
#define TDREPORT_DATA 128

static void put_hardware_report(struct atls_view *v, const struct atls_hcl_report *r)
{
    if (r->type == ATLS_HCL_SNP) {
        atls_view_or_hex(v, "hardware-report", r->hardware_report, atls_view_snp_report);
        return;
    }
    atls_json_open_object(v->j, "hardware-report");
    atls_json_put_hex(v->j, "report-data",
                      atls_bytes_of(r->hardware_report.ptr + TDREPORT_DATA, 64));
    atls_json_put_hex(v->j, "tdreport", r->hardware_report);
    atls_json_close(v->j);
}

enum atls_code atls_view_hcl(struct atls_view *v, const char *key, struct atls_bytes in)
{
    static const char *const hashes[] = {"none", "sha1", "sha256", "sha384", "sha512"};
    struct atls_hcl_report r;
    enum atls_code code = atls_hcl_report_decode(in, &r, v->err);
    size_t hash;

    if (code != ATLS_OK)
        return code;
    hash = (size_t)r.hash;
    atls_json_open_object(v->j, key);
    atls_json_put_string(v->j, "tee", r.type == ATLS_HCL_SNP ? "SNP" : "TDX");
    put_hardware_report(v, &r);
    if (hash < sizeof hashes / sizeof hashes[0])
        atls_json_put_string(v->j, "variables-hash", hashes[hash]);
    atls_view_or_hex(v, "variables", r.variables, atls_view_json);
    atls_json_close(v->j);
    return ATLS_OK;
}
