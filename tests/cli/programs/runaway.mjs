// A program of Node that never stops, and knows nothing of bursar.
const body = JSON.stringify({model: "m", max_tokens: 5000, messages: [{role: "user", content: "hello"}]});
for (;;) {
  const answer = await fetch(`${process.env.OPENAI_BASE_URL}/chat/completions`, {method: "POST", body});
  await answer.text();
  if (answer.ok) console.log("ok");
}
