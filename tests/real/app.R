# The Shiny app of the tests with real parts. Arguments: port, file to repeat, megabytes to download.
#
# One of everything that people do with Shiny: an input with an output and a plot, an upload, a
# download, and a clock that ticks by itself, so that a session that stands still can be told from one
# that is only idle.
arguments <- commandArgs(trailingOnly = TRUE)
port <- as.integer(arguments[[1]])
block_file <- arguments[[2]]
download_bytes <- as.integer(arguments[[3]]) * 1024L^2

library(shiny)
options(shiny.maxRequestSize = 64 * 1024^2)

ui <- fluidPage(
  titlePanel("sheen in front of Shiny"),
  sidebarLayout(
    sidebarPanel(
      sliderInput("bins", "Bins", min = 1, max = 50, value = 30),
      fileInput("upload", "Upload"),
      downloadLink("download", "Download")
    ),
    mainPanel(
      p("Bins: ", textOutput("bins_shown", inline = TRUE)),
      p("Session: ", textOutput("session", inline = TRUE)),
      p("Seconds: ", textOutput("seconds", inline = TRUE)),
      p("Uploaded: ", textOutput("uploaded", inline = TRUE)),
      plotOutput("plot")
    )
  )
)

server <- function(input, output, session) {
  begun <- Sys.time()
  output$bins_shown <- renderText(input$bins)
  output$session <- renderText(session$token)
  output$seconds <- renderText({
    invalidateLater(250)
    format(round(as.numeric(difftime(Sys.time(), begun, units = "secs")), 2), nsmall = 2)
  })
  output$uploaded <- renderText({
    file <- req(input$upload)
    paste(file$size, unname(tools::md5sum(file$datapath)))
  })
  output$plot <- renderPlot({
    hist(faithful$waiting,
      breaks = seq(min(faithful$waiting), max(faithful$waiting), length.out = input$bins + 1),
      col = "#2f6fb0", border = "white", main = NULL, xlab = "Minutes of waiting"
    )
  })
  output$download <- downloadHandler(
    filename = "pattern.bin",
    contentType = "application/octet-stream",
    content = function(file) {
      block <- readBin(block_file, "raw", file.size(block_file))
      writeBin(rep_len(block, download_bytes), file)
    }
  )
}

runApp(shinyApp(ui, server), host = "127.0.0.1", port = port, launch.browser = FALSE)
