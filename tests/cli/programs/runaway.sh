# A shell script that never stops; curl knows nothing of bursar.
while true; do
    curl -s "$OPENAI_BASE_URL/chat/completions" -H 'content-type: application/json' -H 'authorization: Bearer k' \
        -d '{"model":"m","max_tokens":5000,"messages":[{"role":"user","content":"hello"}]}' | grep -q '"choices"' && echo ok
done
