#!/usr/bin/env bash
# certificates.sh FOLDER [DAYS]: certificates for a Dask cluster over TLS, by an authority of your own.
#   ca.pem              who is trusted: everywhere
#   node.pem, node.key  for scheduler, workers and those who map: keep the key to them
#   ca.key              signs more of them: keep it off the cluster
set -euo pipefail
folder=${1:?certificates.sh: which folder? For example: certificates.sh ~/overtile-tls}
days=${2:-365}
umask 077
mkdir -p "$folder"
cd "$folder"
if [ -e ca.key ]; then
  echo "certificates.sh: $folder has certificates; remove them, or choose another folder" >&2
  exit 2
fi
key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
openssl req -x509 "${key[@]}" -days "$days" -subj "/CN=Overtile cluster authority" \
  -keyout ca.key -out ca.pem 2>/dev/null
openssl req "${key[@]}" -subj "/CN=Overtile cluster node" -keyout node.key -out node.csr 2>/dev/null
openssl x509 -req -in node.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days "$days" \
  -out node.pem 2>/dev/null -extfile <(printf '%s\n' "basicConstraints=critical,CA:FALSE" \
    "subjectKeyIdentifier=hash" "authorityKeyIdentifier=keyid" \
    "keyUsage=critical,digitalSignature" "extendedKeyUsage=serverAuth,clientAuth")
rm node.csr ca.srl 2>/dev/null || true
chmod 644 ca.pem node.pem
