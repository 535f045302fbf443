const response = await fetch("journal?brief=true&latest=20");
const { exchanges } = await response.json();
document.querySelector("pre").textContent = exchanges.map(({ line }) => line).join("\n");
