// Starts Swagger UI. Tokens stay in the memory of the page: nothing is written to storage.
"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
const followScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followScheme);
followScheme();

const issuer = document.body.dataset.issuer;
document.getElementById("elsewhere").hidden = new URL(issuer).origin === location.origin;

// Every form of the dialog asks for the focus and the last one wins, out of sight of the first. And who opened it with
// the keyboard wants to be back there when it closes.
const orderlyDialog = () => ({
  wrapComponents: {
    authorizationPopup: (Dialog, { React }) => (props) => {
      React.useEffect(() => {
        const opener = document.querySelector(".auth-wrapper .authorize");
        document.querySelector(".auth-container :is(input, button)")?.focus();
        return () => opener?.focus({ preventScroll: true });
      }, []);
      return React.createElement("div", { role: "dialog", "aria-modal": true, "aria-label": "Authorize" },
        React.createElement(Dialog, props));
    },
  },
});

SwaggerUIBundle({
  url: `${new URL(issuer).pathname.replace(/\/$/, "")}/openapi.json`,
  dom_id: "#swagger-ui",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  persistAuthorization: false,
  plugins: [orderlyDialog],
  queryConfigEnabled: false,
  validatorUrl: null,
});
